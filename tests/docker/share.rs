//! Containers that share with others.

use ketch::model::observed::State;
use ketch::model::{hash, label};

use super::{Probes, in_world};

#[test]
fn the_hash_covers_the_id_of_a_container_that_is_shared_with() {
    in_world("share", Probes::Engine, |world| async move {
        let db = world.run("db", "{command: [sleep, '1000'], ipc: shareable}").await;
        let id = world.seen("db").await.unwrap().id;
        let yaml = |db: &str, from: &str, needs: &str| {
            format!(
                "{{network_mode: 'container:{db}', ipc: 'container:{db}', pid: 'container:{db}',
                   volumes_from: ['{from}'], command: [sleep, '1000'], depends_on: {{{needs}}}}}"
            )
        };
        let needs = "db: {condition: service_started}";
        let name = world.run("web", &yaml(&db, &format!("container:{db}:ro"), needs)).await;
        let seen = world.seen("web").await.unwrap();
        assert_eq!((seen.state, seen.name.as_str()), (State::Running, name.as_str()));
        // As Docker Compose writes it.
        let expected = serde_yaml::from_str(&yaml(&id, &id, needs)).unwrap();
        assert_eq!(seen.label(label::CONFIG_HASH), hash::service_hash(&expected));

        // A container that the user has named stands for itself.
        world.run("other", &yaml(&db, &format!("container:{db}"), "")).await;
        let expected = serde_yaml::from_str(&yaml(&db, &db, "")).unwrap();
        let seen = world.seen("other").await.unwrap();
        assert_eq!(seen.label(label::CONFIG_HASH), hash::service_hash(&expected));
    });
}
