//! `ketch env`: prints the addresses of a project that runs, for programs of the host.
//!
//! In: the containers of the project. Out: variables, in one of several forms.

use super::args::{EnvArgs, EnvFormat};
use super::engine::{Engine, Sight};
use super::exit::Failure;
use super::session::Session;
use crate::model::observed::ObservedContainer;
use crate::model::reach::variables;
use crate::plan::labels;
use crate::ui::environment::{dotenv, json, shell};

/// Prints the variables.
pub(super) async fn run(args: &EnvArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let sight = Sight::find(session)?;
    let engine = Engine::connect(session).await?;
    let mut containers = engine.containers(Some(&sight.name)).await?;
    containers.retain(ObservedContainer::is_up);
    if containers.is_empty() {
        let text = format!("project `{}` does not run: start it with `ketch up -d`", sight.name);
        return Err(Failure::Other(text));
    }
    let instance = labels::instance(&containers);
    let host = engine.runtime.published_on();
    let variables = variables(&containers, (&sight.name, instance.as_ref()), host.as_deref());
    let text = match args.format {
        EnvFormat::Shell => shell(&variables),
        EnvFormat::Json => json(&variables),
        EnvFormat::Dotenv => dotenv(&variables),
    };
    engine.session.screen.data(&text)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use crate::model::reach::Variables;
    use crate::project::{Memory, Request, load};
    use crate::ui::environment::dotenv;

    #[test]
    fn env_files_give_back_what_is_written_into_them() {
        let odd = "a'b \"c\" $d `e` \\f\n\r#g=;\u{e9} !";
        let told: Variables = [("ODD".to_owned(), odd.to_owned())].into_iter().collect();
        let service = "services: {a: {image: x, environment: {ODD: '${ODD}'}}}";
        let source =
            Memory::default().with("/p/.env", dotenv(&told)).with("/p/compose.yaml", service);
        let request = Request { cwd: "/p".into(), ..Request::default() };
        let (loaded, report) = load(&source, &request);
        let project = loaded.unwrap_or_else(|| panic!("{:?}", report.diagnostics)).project;
        assert_eq!(project.services["a"].environment["ODD"].as_deref(), Some(odd));
    }
}
