//! Whole projects, compared with what docker compose 2.40.3 prints for them.

use std::collections::BTreeMap;

use super::{RenderError, project_json, project_yaml, value_json, value_yaml};
use crate::model::{FileObject, Model, Network, Project, Service, hash};

/// Reads canonical values.
fn read<T: serde::de::DeserializeOwned>(yaml: &str) -> T {
    serde_yaml::from_str(yaml).expect("canonical values")
}

/// A project with one service.
fn project(service: &str) -> Project {
    let services = BTreeMap::from([("s".to_owned(), read::<Box<Service>>(service))]);
    Project { name: "p".to_owned(), services, ..Project::default() }
}

/// A project with everything in which YAML and JSON differ.
fn sample() -> Project {
    let network = Network { name: "p_default".to_owned(), ..Network::default() };
    Project {
        networks: BTreeMap::from([("default".to_owned(), network)]),
        secrets: read("{t: {name: p_t, environment: HOME, content: hidden}}"),
        extensions: read("{x-top: {l: [], n: 1.0}}"),
        ..project(SERVICE)
    }
}

const SERVICE: &str = r##"
image: x
blkio_config:
  weight_device: [{path: /dev/sda, weight: 10}]
  device_read_bps: [{path: /dev/sda, rate: 1048576}]
command: []
cpus: 0.1
deploy: {labels: {a: b}}
develop: {watch: [{path: /w, action: rebuild}]}
environment: {k10: "1", k9: "<&>", e: null}
extra_hosts: {h: ["::1", "1.2.3.4"]}
networks: {default: null}
secrets: [{source: t, target: /run/secrets/t, mode: 288}]
stop_grace_period: 90000000000
ulimits: {nofile: {single: 5}, nproc: {soft: 0, hard: 3}}
"#extensions": {x-b: {k10: 1, k9: []}, x-a: true}
"##;

const YAML: &str = r#"name: p
services:
  s:
    develop:
      watch:
        - path: /w
          action: rebuild
    blkio_config:
      weight_device:
        - path: /dev/sda
          weight: 10
      device_read_bps:
        - path: /dev/sda
          rate: "1048576"
    cpus: 0.1
    command: []
    deploy:
      labels:
        a: b
    environment:
      e: null
      k9: <&>
      k10: "1"
    extra_hosts:
      - h=1.2.3.4
      - h=::1
    image: x
    networks:
      default: null
    secrets:
      - source: t
        target: /run/secrets/t
        mode: "0440"
    stop_grace_period: 1m30s
    ulimits:
      nofile: 5
      nproc:
        soft: 0
        hard: 3
    x-a: true
    x-b:
      k9: []
      k10: 1
networks:
  default:
    name: p_default
secrets:
  t:
    name: p_t
    environment: HOME
x-top:
  l: []
  "n": 1
"#;

const JSON: &str = r#"{
  "name": "p",
  "networks": {
    "default": {
      "name": "p_default",
      "ipam": {}
    }
  },
  "secrets": {
    "t": {
      "name": "p_t",
      "environment": "HOME"
    }
  },
  "services": {
    "s": {
      "develop": {
        "watch": [
          {
            "path": "/w",
            "action": "rebuild",
            "exec": {
              "command": null
            }
          }
        ]
      },
      "blkio_config": {
        "weight_device": [
          {
            "Path": "/dev/sda",
            "Weight": 10
          }
        ],
        "device_read_bps": [
          {
            "Path": "/dev/sda",
            "Rate": "1048576"
          }
        ]
      },
      "cpus": 0.1,
      "command": [],
      "deploy": {
        "labels": {
          "a": "b"
        },
        "resources": {},
        "placement": {}
      },
      "entrypoint": null,
      "environment": {
        "e": null,
        "k10": "1",
        "k9": "\u003c\u0026\u003e"
      },
      "extra_hosts": [
        "h=1.2.3.4",
        "h=::1"
      ],
      "image": "x",
      "networks": {
        "default": null
      },
      "secrets": [
        {
          "source": "t",
          "target": "/run/secrets/t",
          "mode": "0440"
        }
      ],
      "stop_grace_period": "1m30s",
      "ulimits": {
        "nofile": 5,
        "nproc": {
          "hard": 3
        }
      }
    }
  },
  "x-top": {
    "l": null,
    "n": 1
  }
}"#;

#[test]
fn a_project_is_printed_as_yaml() {
    assert_eq!(project_yaml(&sample()), YAML);
}

#[test]
fn a_project_is_printed_as_json() {
    assert_eq!(project_json(&sample()).as_deref(), Ok(JSON));
}

#[test]
fn the_service_of_the_sample_has_the_hash_that_compose_gives_it() {
    assert_eq!(
        hash::service_hash(&sample().services["s"]),
        "3b0c8f1265331560f4f76586e9b824d826be18f25d871317287e43115db2beff"
    );
}

#[test]
fn a_project_without_anything_still_has_services() {
    let empty = Project::default();
    assert_eq!(project_yaml(&empty), "services: {}\n");
    assert_eq!(project_json(&empty).as_deref(), Ok("{\n  \"name\": \"\",\n  \"services\": {}\n}"));
}

#[test]
fn the_content_of_a_config_is_shown_unless_it_comes_from_a_variable() {
    let configs: BTreeMap<String, FileObject> =
        read("{c: {environment: HOME, content: hidden}, d: {content: shown}}");
    let yaml = project_yaml(&Project { configs, ..project("{image: x}") });
    assert!(
        yaml.ends_with("configs:\n  c:\n    environment: HOME\n  d:\n    content: shown\n"),
        "{yaml}"
    );
}

#[test]
fn only_yaml_shows_models() {
    let models: BTreeMap<String, Model> = read("{m: {model: ai/x}}");
    let project = Project { models, ..project("{image: x}") };
    assert!(project_yaml(&project).ends_with("models:\n  m:\n    model: ai/x\n"));
    assert!(!project_json(&project).expect("JSON").contains("models"));
}

#[test]
fn an_ssh_key_with_a_path_has_no_json_form() {
    let plain = project("{build: {context: /, ssh: [{id: default}]}}");
    assert!(project_json(&plain).is_ok_and(|json| json.contains("\"default\"")));
    let keyed = project("{build: {context: /, ssh: [{id: k, path: /a}]}}");
    assert_eq!(project_json(&keyed), Err(RenderError::SshKey));
    assert!(project_yaml(&keyed).contains("- 'k: /a'\n"));
}

#[test]
fn an_optional_env_file_loses_its_format_in_yaml() {
    let project = project("{env_file: [{path: /a}, {path: /b, required: false, format: raw}]}");
    let yaml = "    env_file:\n      - /a\n      - path: /b\n        required: false\n";
    assert!(project_yaml(&project).ends_with(yaml));
    assert!(project_json(&project).expect("JSON").contains("\"format\": \"raw\""));
}

#[test]
fn raw_values_have_sorted_keys_and_null_for_empty_lists_in_json() {
    let value = read("{b: [], k10: !list [], k9: {}, t: !timestamp '2001-01-01T00:00:00Z'}");
    let yaml = "b: []\nk9: {}\nk10: []\nt: 2001-01-01T00:00:00Z\n";
    assert_eq!(value_yaml(&value), yaml);
    let json = [
        "{",
        "  \"b\": null,",
        "  \"k10\": [],",
        "  \"k9\": {},",
        "  \"t\": \"2001-01-01T00:00:00Z\"",
        "}",
    ];
    assert_eq!(value_json(&value), Ok(json.join("\n")));
}

#[test]
fn infinity_has_no_json_form() {
    assert_eq!(value_json(&read("[.inf]")), Err(RenderError::Number("+Inf".to_owned())));
}
