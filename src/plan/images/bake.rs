//! Builds as a bake file: `build --print`.
//!
//! In: a project and how its images are built. Out: what `docker buildx bake --file -` reads, as
//! Docker Compose prints it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::spec::BuildSpec;
use crate::model::{Build, Dict, Project, Ulimit};

/// A bake file.
#[derive(Clone, Debug, Serialize)]
pub struct Bake {
    group: BTreeMap<&'static str, Group>,
    target: BTreeMap<String, Target>,
}

#[derive(Clone, Debug, Serialize)]
struct Group {
    targets: Vec<String>,
}

/// One image.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Target {
    context: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    contexts: Dict,
    #[serde(skip_serializing_if = "String::is_empty")]
    dockerfile: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dockerfile_inline: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    args: Dict,
    labels: Dict,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache_from: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache_to: Vec<String>,
    #[serde(rename = "target", skip_serializing_if = "String::is_empty")]
    stage: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secret: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pull: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_cache: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    network: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    shm_size: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ulimits: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    call: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entitlements: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra_hosts: Dict,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    output: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attest: Vec<String>,
}

/// Builds as a bake file with a target for each.
pub fn bake(project: &Project, specs: &[BuildSpec]) -> Bake {
    let names = target_names(specs);
    let target = |spec| (names[&name_of(spec)].clone(), target(project, spec, &names));
    let targets: BTreeMap<String, Target> = specs.iter().map(target).collect();
    let all = Group { targets: targets.keys().cloned().collect() };
    Bake { group: [("default", all)].into(), target: targets }
}

fn name_of(spec: &BuildSpec) -> &str {
    &spec.service_name
}

/// Targets are called like services, but without dots.
fn target_names(specs: &[BuildSpec]) -> BTreeMap<&str, String> {
    let mut taken = BTreeSet::new();
    let mut name = |spec| {
        let mut name = name_of(spec).replace('.', "_");
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        name
    };
    specs.iter().map(|spec| (name_of(spec), name(spec))).collect()
}

fn target(project: &Project, spec: &BuildSpec, names: &BTreeMap<&str, String>) -> Target {
    let (build, options) = (&spec.build, &spec.options);
    let mut labels = build.labels.clone();
    labels.extend(spec.labels.clone());
    let platforms = if spec.platform.is_empty() {
        build.platforms.clone()
    } else {
        vec![spec.platform.clone()]
    };
    let (own, others) = spec.tags.split_first().map_or((None, &[][..]), |(a, b)| (Some(a), b));
    let args = build.args.iter();
    let hosts = build.extra_hosts.iter();
    Target {
        context: build.context.clone(),
        contexts: contexts(spec, names),
        dockerfile: dockerfile(build),
        dockerfile_inline: build.dockerfile_inline.replace("${", "$${"),
        args: args.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect(),
        labels,
        tags: others.iter().chain(own).cloned().collect(),
        cache_from: build.cache_from.clone(),
        cache_to: build.cache_to.clone(),
        stage: build.target.clone(),
        secret: secrets(project, build),
        ssh: build.ssh.iter().map(|key| format!("{}={}", key.id, key.path)).collect(),
        output: output(spec, platforms.len()),
        platforms,
        pull: build.pull || options.pull,
        no_cache: build.no_cache || options.no_cache,
        network: build.network.clone(),
        shm_size: if build.shm_size.0 > 0 { build.shm_size.0.to_string() } else { String::new() },
        ulimits: build.ulimits.iter().map(ulimit).collect(),
        call: if options.check { "lint".to_owned() } else { String::new() },
        entitlements: entitlements(build),
        extra_hosts: hosts.map(|(host, to)| (host.clone(), to.join(","))).collect(),
        attest: attestations(spec),
    }
}

/// Further contexts: where one is the image of another target, that target.
fn contexts(spec: &BuildSpec, names: &BTreeMap<&str, String>) -> Dict {
    let target = |context: &str| {
        let image = context.strip_prefix("docker-image://")?;
        let (service, _) = spec.bases.iter().find(|(_, base)| *base == image)?;
        Some(format!("target:{}", names.get(service.as_str())?))
    };
    let contexts = spec.build.additional_contexts.iter();
    contexts
        .map(|(name, context)| (name.clone(), target(context).unwrap_or_else(|| context.clone())))
        .collect()
}

/// The path of the Dockerfile; empty if it is given in place.
fn dockerfile(build: &Build) -> String {
    let name = if build.dockerfile.is_empty() { "Dockerfile" } else { &build.dockerfile };
    if !build.dockerfile_inline.is_empty() {
        String::new()
    } else if build.context.starts_with('/') {
        std::path::Path::new(&build.context).join(name).display().to_string()
    } else {
        name.to_owned()
    }
}

fn secrets(project: &Project, build: &Build) -> Vec<String> {
    let secret = |reference: &crate::model::FileReference| {
        let object = project.secrets.get(&reference.source)?;
        let id = if reference.target.is_empty() { &reference.source } else { &reference.target };
        Some(if object.environment.is_empty() {
            format!("id={id},type=file,src={}", object.file)
        } else {
            format!("id={id},type=env,env={}", object.environment)
        })
    };
    build.secrets.iter().filter_map(secret).collect()
}

fn ulimit((name, limit): (&String, &Ulimit)) -> String {
    if limit.single == 0 {
        format!("{name}={}:{}", limit.soft, limit.hard)
    } else {
        format!("{name}={}", limit.single)
    }
}

fn entitlements(build: &Build) -> Vec<String> {
    let mut all: BTreeSet<&str> = build.entitlements.iter().map(String::as_str).collect();
    all.extend(build.privileged.then_some("security.insecure"));
    all.extend((build.network == "host").then_some("network.host"));
    all.into_iter().map(str::to_owned).collect()
}

fn output(spec: &BuildSpec, platforms: usize) -> Vec<String> {
    let push = spec.options.push;
    match (spec.options.check, platforms) {
        (true, _) => Vec::new(),
        (_, 2..) => vec![format!("type=image,push={push}")],
        _ if push => vec!["type=registry".to_owned()],
        _ => vec!["type=docker".to_owned()],
    }
}

fn attestations(spec: &BuildSpec) -> Vec<String> {
    let (build, options) = (&spec.build, &spec.options);
    let wanted = [
        ("provenance", options.provenance.as_ref().unwrap_or(&build.provenance)),
        ("sbom", options.sbom.as_ref().unwrap_or(&build.sbom)),
    ];
    let attestation = |(kind, how): (&str, &String)| match how.as_str() {
        "" => None,
        "true" => Some(format!("type={kind}")),
        "false" => Some(format!("type={kind},disabled=true")),
        how => Some(format!("type={kind},{how}")),
    };
    wanted.into_iter().filter_map(attestation).collect()
}

#[cfg(test)]
mod tests {
    use super::bake;
    use crate::model::Project;
    use crate::plan::Cause;
    use crate::plan::images::build::{Builds, Purpose};
    use crate::plan::name::Names;

    const SERVICES: &str = "
a.b:
  image: reg/ab
  build:
    context: /c
    dockerfile: D
    args: {FOO: x, BAR: null}
    tags: [x:1]
    network: host
    privileged: true
    platforms: [linux/amd64, linux/arm64]
    ssh: [{id: default}]
    secrets: [{source: s}, {source: e, target: ee}]
    additional_contexts: {base: 'service:z', o: /o}
    provenance: mode=max
    sbom: 'false'
    ulimits: {nofile: {soft: 1, hard: 2}}
z: {build: {context: /z, dockerfile_inline: 'FROM ${X}'}}
";

    #[test]
    #[expect(clippy::too_many_lines, reason = "a whole file is expected")]
    fn a_bake_file_has_a_target_for_each_image() {
        let secrets = "{s: {file: /s}, e: {environment: FOO}}";
        let project = Project {
            name: "shop".to_owned(),
            services: serde_yaml::from_str(SERVICES).expect("canonical services"),
            secrets: serde_yaml::from_str(secrets).expect("canonical secrets"),
            ..Project::default()
        };
        let names = Names { project: &project.name, separator: '-' };
        let builds = Builds { purpose: Purpose::Publish, ..Builds::to_run(&project, names) };
        let specs = builds.specs(|_, _| Some(Cause::Requested));
        let specs: Vec<_> = specs.into_iter().map(|(spec, _)| spec).collect();
        let text = serde_json::to_string_pretty(&bake(&project, &specs)).expect("JSON");
        let without_labels: Vec<&str> =
            text.lines().filter(|line| !line.contains("com.docker.compose")).collect();
        insta::assert_snapshot!(without_labels.join("\n"), @r#"
        {
          "group": {
            "default": {
              "targets": [
                "a_b",
                "z"
              ]
            }
          },
          "target": {
            "a_b": {
              "context": "/c",
              "contexts": {
                "base": "target:z",
                "o": "/o"
              },
              "dockerfile": "/c/D",
              "args": {
                "FOO": "x"
              },
              "labels": {
              },
              "tags": [
                "x:1",
                "reg/ab"
              ],
              "secret": [
                "id=s,type=file,src=/s",
                "id=ee,type=env,env=FOO"
              ],
              "ssh": [
                "default="
              ],
              "platforms": [
                "linux/amd64",
                "linux/arm64"
              ],
              "network": "host",
              "ulimits": [
                "nofile=1:2"
              ],
              "entitlements": [
                "network.host",
                "security.insecure"
              ],
              "output": [
                "type=image,push=false"
              ],
              "attest": [
                "type=provenance,mode=max",
                "type=sbom,disabled=true"
              ]
            },
            "z": {
              "context": "/z",
              "dockerfile-inline": "FROM $${X}",
              "labels": {
              },
              "tags": [
                "shop-z"
              ],
              "output": [
                "type=docker"
              ]
            }
          }
        }
        "#);
    }
}
