//! Bodies of requests with fields that bollard's types lack.
//!
//! In: JSON. Out: a client that sends it in place of the typed body. bollard follows the newest
//! version of the API, which has dropped fields that older engines need.

use bollard::{Docker as Client, body_full};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

/// A body as JSON, with fields added at its top.
pub(super) fn extended(body: &impl Serialize, fields: Map<String, Value>) -> Value {
    // The types of bollard are plain structs: they always have a JSON form.
    let mut body = serde_json::to_value(body).unwrap_or_default();
    if let Value::Object(object) = &mut body {
        object.extend(fields);
    }
    body
}

/// A client whose next request has this body, whatever it is asked to send.
pub(super) fn sending(client: &Client, body: &Value) -> Client {
    let text = Bytes::from(body.to_string());
    client.clone().with_request_modifier(move |request| request.map(|_| body_full(text.clone())))
}

#[cfg(test)]
mod tests {
    use bollard::models::NetworkCreateRequest;
    use serde_json::{Map, json};

    use super::extended;

    #[test]
    fn fields_are_added_at_the_top() {
        let body = NetworkCreateRequest { name: "n".to_owned(), ..Default::default() };
        let fields = Map::from_iter([("CheckDuplicate".to_owned(), json!(true))]);
        assert_eq!(extended(&body, fields), json!({"Name": "n", "CheckDuplicate": true}));
    }
}
