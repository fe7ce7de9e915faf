//! Calls of external programs, and what comes of them.

use super::{
    ModelProgram, Program, Providers, calls, hand_over, hand_over_models, lacking, unknown, up,
};
use crate::model::spec::{Handed, ProviderAction};
use crate::model::{Project, ProviderMetadata, Service};

fn project() -> Project {
    let services = [
        ("cloud", "{provider: {type: sky, options: {size: ['1', '2'], name: [x]}}}"),
        ("queue", "{provider: {type: sky}, depends_on: {middle: {}}}"),
        ("middle", "{image: x, depends_on: {cloud: {}}}"),
        (
            "app",
            "{image: x, depends_on: {cloud: {}}, environment: {TOKEN: mine},
              models: {chat-bot: null, small: {endpoint_var: AT, model_var: WHO}}}",
        ),
        ("other", "{image: x}"),
    ];
    let services = services.map(|(name, yaml)| {
        (name.to_owned(), serde_yaml::from_str::<Box<Service>>(yaml).expect("a canonical service"))
    });
    let models = serde_yaml::from_str(
        "{chat-bot: {model: ai/chat, context_size: 9, runtime_flags: [--fast]},
          small: {model: ai/small}}",
    );
    Project {
        name: "shop".to_owned(),
        services: services.into(),
        models: models.expect("canonical models"),
        ..Project::default()
    }
}

fn providers(metadata: &str) -> Providers {
    let metadata: ProviderMetadata = serde_json::from_str(metadata).expect("metadata");
    let program = Program { path: "/bin/docker-sky".into(), metadata };
    let models = ModelProgram {
        path: "/bin/docker-model".into(),
        present: ["ai/small".to_owned()].into(),
        takes_flags: true,
    };
    let programs = [("sky".to_owned(), program)].into();
    Providers { programs, models: Some(models), ..Providers::default() }
}

fn words(providers: &Providers, action: ProviderAction, service: &str) -> Option<String> {
    calls(&project(), providers, action).get(service).map(|call| call.arguments.join(" "))
}

#[test]
fn programs_run_before_containers_in_order_and_models_are_fetched_once() {
    assert_eq!(
        up(&project(), &providers("{}")).to_string(),
        "\
1 pull model chat-bot with docker-model (missing)
2 configure model chat-bot with docker-model after 1 (requested)
3 configure model small with docker-model (requested)
4 create service cloud with docker-sky (requested)
5 create service queue with docker-sky after 4 (requested)
"
    );
    let mut old = providers("{}");
    old.models = old.models.map(|program| ModelProgram { takes_flags: false, ..program });
    let plan = up(&project(), &old);
    assert_eq!(plan.warnings.len(), 1, "flags are never dropped in silence");
}

#[test]
fn options_become_flags_of_those_that_take_them() {
    let silent = providers("{}");
    let expected = "compose --project-name=shop up --name=x --size=1 --size=2 cloud";
    assert_eq!(words(&silent, ProviderAction::Up, "cloud").as_deref(), Some(expected));
    assert_eq!(words(&silent, ProviderAction::Stop, "cloud"), None, "it does not say that it can");
    let told = providers(
        r#"{"up": {"parameters": [{"name": "size"}, {"name": "region", "required": true}]},
            "down": {}, "stop": {"parameters": []}}"#,
    );
    let expected = "compose --project-name=shop up --size=1 --size=2 cloud";
    assert_eq!(words(&told, ProviderAction::Up, "cloud").as_deref(), Some(expected));
    let expected = "compose --project-name=shop down cloud";
    assert_eq!(words(&told, ProviderAction::Down, "cloud").as_deref(), Some(expected));
    let expected = "compose --project-name=shop stop cloud";
    assert_eq!(words(&told, ProviderAction::Stop, "cloud").as_deref(), Some(expected));
    let cloud = &project().services["cloud"];
    assert_eq!(lacking(cloud, &told.programs["sky"], ProviderAction::Up), ["region"]);
}

#[test]
fn dependents_get_the_variables() {
    let mut project = project();
    let handed = Handed {
        prefixed: [("URL".to_owned(), "http://a".to_owned())].into(),
        plain: [("TOKEN".to_owned(), "theirs".to_owned())].into(),
    };
    let warnings = hand_over(&mut project, "cloud", &handed);
    hand_over_models(&mut project, Some("http://models"));
    let app = &project.services["app"].environment;
    let value = |name: &str| app.get(name).cloned().flatten();
    for (name, expected) in [
        ("CLOUD_URL", "http://a"),
        ("TOKEN", "theirs"),
        ("CHAT_BOT_MODEL", "ai/chat"),
        ("CHAT_BOT_URL", "http://models"),
        ("WHO", "ai/small"),
        ("AT", "http://models"),
    ] {
        assert_eq!(value(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(project.services["other"].environment.is_empty());
}

#[test]
fn what_is_not_known_yet_is_named() {
    let unknown = unknown(&project());
    let names: Vec<_> = unknown["app"].iter().map(String::as_str).collect();
    assert_eq!(names, ["AT", "CHAT_BOT_URL", "CLOUD_*"]);
    assert!(!unknown.contains_key("other"));
}
