//! `ketch volumes`: lists volumes.
//!
//! In: flags, and what is observed. Out: the project's volumes; with services those that their
//! containers have mounted.

use std::collections::BTreeSet;

use super::args::VolumesArgs;
use super::engine::{Engine, Sight};
use super::exit::Failure;
use super::session::Session;
use crate::model::observed::{Observed, ObservedVolume};
use crate::ui::volumes;

/// Lists volumes.
pub(super) async fn run(args: &VolumesArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let sight = Sight::find(session)?;
    let services = sight.named(&args.services)?;
    let engine = Engine::connect(session).await?;
    let observed = engine.asking(engine.runtime.observe(Some(&sight.name))).await?;
    let listed = volumes_of(&observed, &services);
    let text = if args.quiet {
        listed.iter().flat_map(|volume| [&volume.name, "\n"]).collect()
    } else {
        volumes::listing(&listed).format(args.format.as_deref().unwrap_or_default())?
    };
    engine.session.screen.data(&text)?;
    Ok(0)
}

fn volumes_of<'o>(observed: &'o Observed, services: &BTreeSet<String>) -> Vec<&'o ObservedVolume> {
    let is_mounted = |volume: &&ObservedVolume| {
        observed
            .containers
            .iter()
            .filter(|container| services.contains(container.service()))
            .any(|container| container.mounts.iter().any(|mount| mount.name == volume.name))
    };
    observed.volumes.iter().filter(|volume| services.is_empty() || is_mounted(volume)).collect()
}

#[cfg(test)]
mod tests {
    use super::volumes_of;
    use crate::model::label;
    use crate::model::observed::{Observed, ObservedContainer, ObservedMount, ObservedVolume};

    #[test]
    fn services_have_the_volumes_that_are_mounted() {
        let volume = |name: &str| ObservedVolume { name: name.to_owned(), ..Default::default() };
        let mount = ObservedMount { name: "p_a".to_owned(), ..ObservedMount::default() };
        let container = ObservedContainer {
            labels: [(label::SERVICE.to_owned(), "web".to_owned())].into(),
            mounts: vec![mount],
            ..ObservedContainer::default()
        };
        let observed = Observed {
            containers: vec![container],
            volumes: vec![volume("p_a"), volume("p_b")],
            ..Observed::default()
        };
        let names = |services: &[&str]| -> String {
            let services = services.iter().map(|it| (*it).to_owned()).collect();
            let names: Vec<&str> =
                volumes_of(&observed, &services).iter().map(|it| it.name.as_str()).collect();
            names.join(" ")
        };
        assert_eq!(names(&[]), "p_a p_b");
        assert_eq!(names(&["web"]), "p_a");
        assert_eq!(names(&["db"]), "");
    }
}
