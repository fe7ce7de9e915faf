//! `ketch top`: shows the processes of containers.
//!
//! In: services. Out: one table of all processes, asked for at once.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;

use super::args::ServicesArgs;
use super::engine::{Engine, Sight, interruptible};
use super::exit::Failure;
use super::session::Session;
use crate::model::observed::ObservedContainer;
use crate::runtime::{ProcessTable, Runtime, RuntimeError};
use crate::ui::processes::{Processes, table};

/// Shows processes.
pub(super) async fn run(args: &ServicesArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let sight = Sight::find(session)?;
    let services = sight.named(&args.services)?;
    let engine = Engine::connect(session).await?;
    let all = engine.containers(Some(&sight.name)).await?;
    let containers = all.iter().filter(|it| has_processes(it, &services));
    let tables = try_join_all(containers.map(|container| processes(&*engine.runtime, container)));
    let tables = interruptible(engine.interrupts.shutdown(), tables).await?;
    engine.session.screen.data(&table(&tables))?;
    Ok(0)
}

fn has_processes(container: &ObservedContainer, services: &BTreeSet<String>) -> bool {
    container.state.has_processes()
        && (services.is_empty() || services.contains(container.service()))
}

async fn processes(
    runtime: &dyn Runtime,
    container: &ObservedContainer,
) -> Result<Processes, Failure> {
    let found = match runtime.top(&container.id).await {
        Ok(found) => found,
        // It has ended since it was listed.
        Err(RuntimeError::NotFound(_) | RuntimeError::Conflict(_)) => ProcessTable::default(),
        Err(error) => return Err(error.into()),
    };
    Ok(Processes {
        service: container.service().to_owned(),
        number: container.number().map(|number| number.to_string()).unwrap_or_default(),
        titles: found.titles,
        rows: found.rows,
    })
}

#[cfg(test)]
mod tests {
    use super::processes;
    use crate::model::observed::ObservedContainer;
    use crate::runtime::fake::Fake;

    #[tokio::test]
    async fn a_container_that_is_gone_has_no_processes() {
        let container = ObservedContainer { id: "gone".to_owned(), ..Default::default() };
        let found = processes(&Fake::new(), &container).await.expect("no failure");
        assert!(found.rows.is_empty());
    }
}
