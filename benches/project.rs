//! Projects of any size, with what real ones use: anchors, `extends`, env files, variables.

/// The files of a project with this many services: path and text.
pub(crate) fn files(services: usize) -> Vec<(String, String)> {
    let mut compose =
        "name: bench\n\nx-logging: &logging\n  driver: json-file\n  options: {max-size: 10m}\n\n\
                       services:\n"
            .to_owned();
    for number in 0..services {
        compose.push_str(&service(number));
    }
    compose.push_str("\nnetworks:\n  back:\n\nvolumes:\n  data:\n");
    let base = "services:\n  app:\n    image: registry.example/app:${TAG:-latest}\n    restart: unless-stopped\n    \
                healthcheck:\n      test: [CMD, ping]\n      interval: 5s\n";
    let variables: String = (0..20)
        .map(|number| format!("NAME_{number}=value {number}\n"))
        .collect::<Vec<_>>()
        .concat();
    [
        ("compose.yaml", compose.as_str()),
        ("base.yaml", base),
        ("app.env", &variables),
        (".env", "TAG=7\nPORT=80\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into()
}

/// One service; it depends on the one before.
fn service(number: usize) -> String {
    let depends = match number.checked_sub(1) {
        Some(before) => format!("    depends_on: [s{before}]\n"),
        None => String::new(),
    };
    format!(
        "  s{number}:\n    extends: {{file: base.yaml, service: app}}\n    logging: *logging\n    env_file: app.env\n    \
         environment:\n      NUMBER: {number}\n      URL: http://s{number}:${{PORT}}/${{TAG:-none}}\n    ports:\n      - \
         \"{}:${{PORT}}\"\n    volumes:\n      - data:/data\n      - ./s{number}:/src:ro\n    networks: [back]\n{depends}",
        10_000 + number
    )
}
