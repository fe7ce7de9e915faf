//! What registries ask for before they answer: passwords and tokens.
//!
//! In: challenges, and a credential. Out: the header of a request.
//!
//! # Invariants
//!
//! - No secret is in an error, in `Debug` or in a log.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Uri};
use serde::Deserialize;

use super::Repository;
use super::http::{Ask, is_this_machine};
use crate::runtime::credentials::Credential;
use crate::runtime::{Result, RuntimeError};

/// The most bytes of the answer with a token.
const MAX_TOKEN: u64 = 1 << 20;
/// How Ketch calls itself where that is asked.
const CLIENT: &str = "ketch";

/// What is done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Pull,
    Push,
}

/// The header that opens a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Authorization(String);

impl Authorization {
    pub(super) fn header(&self) -> &str {
        &self.0
    }

    fn basic(user: &str, password: &str) -> Self {
        Self(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization")
    }
}

/// What a registry wants.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: String, scope: String },
}

/// The header that answers challenges; `None` if nothing we have does.
pub(super) async fn answer(
    repository: &Repository,
    challenges: &[String],
) -> Result<Option<Authorization>> {
    let credential = &repository.credential;
    if !credential.registrytoken.is_empty() {
        return Ok(Some(Authorization(format!("Bearer {}", credential.registrytoken))));
    }
    let all: Vec<Challenge> = challenges.iter().filter_map(|text| challenge(text)).collect();
    for challenge in all {
        match challenge {
            Challenge::Bearer { realm, service, scope } => {
                let wanted = Wanted { realm, service, scope: scope_for(repository, &scope) };
                return token(repository, &wanted).await.map(Some);
            }
            Challenge::Basic if !credential.username.is_empty() => {
                let (user, password) = (&credential.username, &credential.password);
                return Ok(Some(Authorization::basic(user, password)));
            }
            Challenge::Basic => {}
        }
    }
    Ok(None)
}

/// What a token is wanted for.
struct Wanted {
    realm: String,
    service: String,
    scope: String,
}

fn scope_for(repository: &Repository, offered: &str) -> String {
    let actions = match repository.access {
        Access::Pull => "pull",
        Access::Push => "pull,push",
    };
    let own = format!("repository:{}:{actions}", repository.name.repository);
    // A registry may ask for more than its own repository.
    if offered.is_empty() || offered.starts_with("repository:") { own } else { offered.to_owned() }
}

/// Gets a token.
async fn token(repository: &Repository, wanted: &Wanted) -> Result<Authorization> {
    #[derive(Deserialize)]
    struct Token {
        #[serde(default)]
        token: String,
        #[serde(default)]
        access_token: String,
    }
    let registry = &repository.name.registry;
    let credential = &repository.credential;
    let realm: Uri =
        wanted.realm.parse().map_err(|_| refused(registry, "its realm is no address"))?;
    let (ask, authorization) = if credential.identitytoken.is_empty() {
        by_password(&realm, wanted, credential)
    } else {
        (by_refresh(&realm, wanted, &credential.identitytoken), None)
    };
    let is_secret = authorization.is_some() || !credential.identitytoken.is_empty();
    if is_secret && !is_safe(&realm, &repository.base) {
        return Err(refused(registry, "it wants the password sent without TLS"));
    }
    let failed = |problem: super::Problem| {
        problem.at(&format!(
            "{}://{}",
            realm.scheme_str().unwrap_or_default(),
            realm.authority().map_or("", |it| it.as_str())
        ))
    };
    let answer = repository.http.ask(&ask, authorization.as_ref()).await.map_err(failed)?;
    let status = answer.status();
    let body = answer.text(MAX_TOKEN).await.map_err(failed)?;
    if !status.is_success() {
        return Err(repository.refusal(status, &body));
    }
    let token: Token = serde_json::from_slice(&body)
        .map_err(|_| refused(registry, "the answer with the token cannot be understood"))?;
    let text = if token.token.is_empty() { token.access_token } else { token.token };
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') {
        return Err(refused(registry, "the answer has no token"));
    }
    Ok(Authorization(format!("Bearer {text}")))
}

fn by_password(
    realm: &Uri,
    wanted: &Wanted,
    credential: &Credential,
) -> (Ask, Option<Authorization>) {
    let mut query = vec![("service", wanted.service.as_str()), ("scope", wanted.scope.as_str())];
    query.retain(|(_, value)| !value.is_empty());
    if !credential.username.is_empty() {
        query.push(("account", &credential.username));
    }
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    let separator = if realm.query().is_some() { '&' } else { '?' };
    let ask = Ask::new(Method::GET, format!("{realm}{separator}{query}"));
    let has_password = !credential.username.is_empty();
    let own = || Authorization::basic(&credential.username, &credential.password);
    (ask, has_password.then(own))
}

fn by_refresh(realm: &Uri, wanted: &Wanted, refresh: &str) -> Ask {
    let form = [
        ("grant_type", "refresh_token"),
        ("service", &wanted.service),
        ("scope", &wanted.scope),
        ("client_id", CLIENT),
        ("refresh_token", refresh),
    ];
    let form = serde_urlencoded::to_string(form).unwrap_or_default();
    Ask::new(Method::POST, realm.to_string())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into_bytes())
}

/// Whether a secret may go there.
fn is_safe(realm: &Uri, base: &str) -> bool {
    let host = realm.host().unwrap_or_default();
    realm.scheme_str() == Some("https") || (base.starts_with("http://") && is_this_machine(host))
}

fn refused(registry: &str, why: &str) -> RuntimeError {
    RuntimeError::Refused(format!("cannot log in to `{registry}`: {why}"))
}

/// Understands one challenge: a scheme, and names with values that may be quoted.
fn challenge(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let parameters = parameters(rest);
    let get = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let realm = get("realm");
    let bearer = Challenge::Bearer { service: get("service"), scope: get("scope"), realm };
    match &bearer {
        Challenge::Bearer { realm, .. } if realm.is_empty() => None,
        _ => Some(bearer),
    }
}

/// `a="b, c",d=e` as pairs.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_owned();
        let mut value = String::new();
        let mut characters = after.char_indices();
        let is_quoted = after.starts_with('"');
        if is_quoted {
            characters.next();
        }
        rest = "";
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' if is_quoted => value.extend(characters.next().map(|(_, next)| next)),
                '"' if is_quoted => {
                    rest = &after[at + 1..];
                    break;
                }
                ',' if !is_quoted => {
                    rest = &after[at..];
                    break;
                }
                character => value.push(character),
            }
        }
        found.push((name, value));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Challenge, challenge, is_safe};

    #[test]
    fn challenges_are_understood() {
        let text = r#"Bearer realm="https://auth.x/token",service="reg, \"x\"",scope=a:b:c"#;
        let expected = Challenge::Bearer {
            realm: "https://auth.x/token".into(),
            service: r#"reg, "x""#.into(),
            scope: "a:b:c".into(),
        };
        assert_eq!(challenge(text), Some(expected));
        assert_eq!(challenge("basic realm=x"), Some(Challenge::Basic));
        for wrong in
            ["", "Bearer", "Bearer service=x", "Negotiate", "Bearer realm", "Bearer \"=\"="]
        {
            assert!(challenge(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn passwords_travel_over_tls_or_not_at_all() {
        for (realm, base, expected) in [
            ("https://auth.x/t", "https://x", true),
            ("http://auth.x/t", "https://x", false),
            ("http://auth.x/t", "http://localhost:5000", false),
            ("http://127.0.0.1:1/t", "http://localhost:5000", true),
            ("http://127.0.0.1:1/t", "https://x", false),
        ] {
            assert_eq!(is_safe(&realm.parse().unwrap(), base), expected, "{realm} {base}");
        }
    }
}
