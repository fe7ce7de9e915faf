//! A probe from outside: `x-ketch-probe`. It needs no program in the image.
//!
//! In: the attribute. Out: what to try. Of these forms:
//!
//! ```yaml
//! x-ketch-probe: {tcp: 5432}                 # somebody accepts connections
//! x-ketch-probe: {http: 8080/health}         # answers with a status from 200 to 399
//! x-ketch-probe: {log: ready to accept}      # has written a line with this text
//! ```

use serde::{Deserialize, Serialize};

use crate::model::Service;
use crate::runtime::{Result, RuntimeError};

/// The attribute.
const KEY: &str = "x-ketch-probe";

/// What to try from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::runtime::native) enum Probe {
    /// To connect to a port.
    Tcp(u16),
    /// To ask for a path.
    Http {
        /// At this port.
        port: u16,
        /// With its slash.
        path: String,
    },
    /// To find a text in what the container writes.
    Log(String),
}

impl Probe {
    /// The probe of a service, if it has one.
    pub(in crate::runtime::native) fn of(service: &Service) -> Result<Option<Self>> {
        let Some(value) = service.extensions.get(KEY) else { return Ok(None) };
        let mut entries = value.as_mapping().into_iter().flatten();
        let entry = (entries.next(), entries.next());
        let (Some((kind, value)), None) = entry else { return Err(malformed()) };
        let text = match value {
            serde_yaml::Value::Number(number) => number.to_string(),
            serde_yaml::Value::String(text) => text.clone(),
            _ => return Err(malformed()),
        };
        let port = |text: &str| text.parse().ok().filter(|port| *port > 0).ok_or_else(malformed);
        match kind.as_str() {
            Some("tcp") => Ok(Some(Self::Tcp(port(&text)?))),
            Some("http") => {
                let (number, path) = text.split_once('/').unwrap_or((&text, ""));
                if path.bytes().any(|byte| byte <= b' ') {
                    return Err(malformed());
                }
                Ok(Some(Self::Http { port: port(number)?, path: format!("/{path}") }))
            }
            Some("log") if !text.is_empty() => Ok(Some(Self::Log(text))),
            _ => Err(malformed()),
        }
    }
}

fn malformed() -> RuntimeError {
    RuntimeError::Refused(format!(
        "`{KEY}` has another form than `{{tcp: PORT}}`, `{{http: PORT/PATH}}` or `{{log: TEXT}}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::{KEY, Probe};
    use crate::model::Service;

    fn of(yaml: &str) -> crate::runtime::Result<Option<Probe>> {
        let value = serde_yaml::from_str(yaml).unwrap();
        let extensions = [(KEY.to_owned(), value)].into();
        Probe::of(&Service { extensions, ..Service::default() })
    }

    #[test]
    fn there_are_three_kinds() {
        assert_eq!(of("{tcp: 80}").unwrap(), Some(Probe::Tcp(80)));
        let http = Probe::Http { port: 80, path: "/a/b?c".to_owned() };
        assert_eq!(of("{http: 80/a/b?c}").unwrap(), Some(http));
        assert_eq!(of("{log: 'a b'}").unwrap(), Some(Probe::Log("a b".to_owned())));
        for wrong in
            ["{}", "80", "{tcp: x}", "{tcp: 0}", "{http: 80/a b}", "{a: b}", "{tcp: 1, log: x}"]
        {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Probe::of(&Service::default()).unwrap(), None);
    }
}
