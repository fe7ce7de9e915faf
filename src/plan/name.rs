//! The names that things get.
//!
//! They are Docker Compose's, so that either program finds what the other one made.

use crate::model::observed::ObservedContainer;
use crate::model::{Project, Service};

/// How names of a project are made.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Name of the project.
    pub project: &'a str,
    /// What stands between the parts of a name: `-`, or `_` with `--compatibility`.
    pub separator: char,
}

/// Length of the start of an id that stands for it in a temporary name.
const SHORT_ID: usize = 12;

impl Names<'_> {
    /// The name of a container: its own if the service has one, else `shop-web-1`.
    pub fn container(&self, service: &str, settings: &Service, number: u64) -> String {
        if settings.container_name.is_empty() {
            let Self { project, separator } = self;
            format!("{project}{separator}{service}{separator}{number}")
        } else {
            settings.container_name.clone()
        }
    }

    /// The reference of a service's image: its own if it has one, else `shop-web`.
    pub fn image(&self, service: &str, settings: &Service) -> String {
        if settings.image.is_empty() {
            format!("{}{}{service}", self.project, self.separator)
        } else {
            settings.image.clone()
        }
    }
}

/// The name that the replacement of a container has until that one is gone.
pub fn temporary(old: &ObservedContainer, name: &str) -> String {
    let short: String = old.id.chars().take(SHORT_ID).collect();
    format!("{short}_{name}")
}

/// Whether an interrupted replacement left this name behind.
pub fn is_temporary(name: &str) -> bool {
    name.split_once('_').is_some_and(|(id, _)| {
        id.len() == SHORT_ID && id.chars().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// The name of a network in the runtime; the key itself for one that the project does not define.
pub fn network<'a>(project: &'a Project, key: &'a str) -> &'a str {
    project.networks.get(key).map_or(key, |network| &network.name)
}

/// The name of a volume in the runtime; the key itself for one that the project does not define.
pub fn volume<'a>(project: &'a Project, key: &'a str) -> &'a str {
    project.volumes.get(key).map_or(key, |volume| &volume.name)
}

#[cfg(test)]
mod tests {
    use super::{Names, is_temporary, temporary};
    use crate::model::Service;
    use crate::model::observed::ObservedContainer;

    #[test]
    fn names_are_those_of_compose() {
        let names = Names { project: "shop", separator: '-' };
        let plain = Service::default();
        assert_eq!(names.container("web", &plain, 2), "shop-web-2");
        assert_eq!(names.image("web", &plain), "shop-web");
        let own = Service {
            container_name: "w".to_owned(),
            image: "nginx".to_owned(),
            ..Service::default()
        };
        assert_eq!(names.container("web", &own, 2), "w");
        assert_eq!(names.image("web", &own), "nginx");
    }

    #[test]
    fn temporary_names_are_recognised() {
        let old = ObservedContainer {
            id: "0123456789abcdef0123".to_owned(),
            ..ObservedContainer::default()
        };
        let name = temporary(&old, "shop-web-1");
        assert_eq!(name, "0123456789ab_shop-web-1");
        assert!(is_temporary(&name));
        assert!(!is_temporary("shop_web_1"));
    }
}
