//! What in examples/deploy runs a server: the unit, the compose files, the manifests. That the programs that read them
//! take them, where they are here, and that nothing in them gives a server more than it needs.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::deploy::{assert_taken, folder, run, text, yaml};

const CONFIGURATIONS: [&str; 3] =
    ["container/issuecommand.toml", "kubernetes/issuecommand.toml", "systemd/issuecommand.toml"];

/// Who a server is in a container.
const USER: &str = "65532:65532";

#[test]
fn every_configuration_there_is_accepted() {
    for name in CONFIGURATIONS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
        let check =
            |command: &mut Command| command.args(["config", "check", "--config"]).arg(folder().join(name)).output();
        let output = check(command.env_clear().env("API_KEY", "key")).unwrap();
        assert_taken(&output);
        // What they say of secrets holds: without a key nobody beyond the machine is let in.
        let output = check(Command::new(env!("CARGO_BIN_EXE_issuecommand")).env_clear()).unwrap();
        let is_for_others = text(name).contains("host = ");
        assert_eq!(output.status.success(), !is_for_others, "{name} would serve everybody");
    }
}

#[test]
fn operators_of_the_unit_find_its_database_by_the_configuration_alone() {
    let unit = text("systemd/issuecommand.service");
    let setting = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap();
    let config: toml::Table = text("systemd/issuecommand.toml").parse().unwrap();
    let path = Path::new(config["store"]["path"].as_str().unwrap());
    let state = Path::new("/var/lib").join(setting("StateDirectory"));
    assert_eq!(path.parent(), Some(state.as_path()), "where the unit may write");
    // What the unit alone sets, a shell does not have.
    for variable in ["SQLITE_PATH", "DATABASE_URL", "HTTP_PORT"] {
        assert!(!unit.contains(variable), "{variable} is for the unit alone");
    }
    assert!(setting("ExecStart").ends_with("serve --config /etc/issuecommand/issuecommand.toml"));
}

/// What systemd must be to know all words of the unit.
const SYSTEMD: u32 = 250;

/// Whether such a systemd is here; says so where not.
fn has_systemd() -> bool {
    let Some(output) = run("systemd-analyze", &["--version"], &folder()) else { return false };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = told.split_whitespace().nth(1).and_then(|word| word.parse::<u32>().ok());
    let is_known = version.is_some_and(|version| version >= SYSTEMD);
    if !is_known {
        eprintln!("skipped: systemd {version:?} is older than {SYSTEMD}");
    }
    is_known
}

/// The unit with the program of this build in it.
fn unit(place: &Path, change: impl Fn(String) -> String) -> String {
    let unit = text("systemd/issuecommand.service");
    let unit = unit.replace("/usr/local/bin/issuecommand", env!("CARGO_BIN_EXE_issuecommand"));
    let path = place.join("issuecommand.service");
    std::fs::write(&path, change(unit)).unwrap();
    path.display().to_string()
}

#[test]
fn systemd_takes_the_unit_and_finds_it_well_shut_in() {
    if !has_systemd() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let unit = unit(scratch.path(), |unit| unit);
    let output = run("systemd-analyze", &["verify", "--man=no", &unit], scratch.path()).unwrap();
    assert_taken(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("issuecommand.service"), "it is taken, but: {said}");
    // From 0, shut in, to 100, open. What is left is the network, local sockets and compiled policies.
    let security = ["security", "--offline=true", "--threshold=15", "--no-pager", &unit];
    assert_taken(&run("systemd-analyze", &security, scratch.path()).unwrap());
}

#[test]
fn systemd_would_tell_a_misspelt_word_of_the_unit() {
    if !has_systemd() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let unit = unit(scratch.path(), |unit| unit.replace("NoNewPrivileges=", "NoNewPriviliges="));
    let output = run("systemd-analyze", &["verify", "--man=no", &unit], scratch.path()).unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("NoNewPriviliges"));
}

#[test]
fn the_image_runs_nothing_as_root_and_asks_itself_how_it_is() {
    let containerfile = text("container/Containerfile");
    let (_, last) = containerfile.rsplit_once("FROM ").unwrap();
    let words: Vec<&str> = last.lines().collect();
    for line in [&format!("USER {USER}"), "VOLUME [\"/data\"]", "ENTRYPOINT [\"issuecommand\"]", "CMD [\"serve\"]"] {
        assert!(words.contains(&line), "no {line} in\n{last}");
    }
    let health = words.iter().find(|line| line.starts_with("HEALTHCHECK")).unwrap();
    assert!(health.ends_with("CMD [\"issuecommand\", \"health\", \"--ready\"]"), "{health}");
    // It needs no shell, and brings no secret.
    assert!(
        !words.iter().any(|line| line.starts_with("RUN") || line.contains("TOKEN") || line.contains("KEY")),
        "{last}"
    );
}

/// Whether `held` has all that is in `wanted`.
fn has(held: &Value, wanted: &Value) -> bool {
    match (held, wanted) {
        (Value::Object(held), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| held.get(key).is_some_and(|held| has(held, wanted)))
        }
        _ => held == wanted,
    }
}

#[test]
fn compose_gives_servers_no_more_than_they_need() {
    let hardened = json!({
        "user": USER, "read_only": true, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"],
    });
    for (name, servers) in [("sqlite", &["issuecommand"][..]), ("postgres", &["one", "two"])] {
        let file = format!("compose/{name}.yaml");
        let document = yaml(&text(&file)).remove(0);
        for server in servers {
            let service = &document["services"][server];
            assert!(has(service, &hardened), "{file}: {service}");
            // Beyond the machine stands a proxy with TLS.
            let ports = service["ports"].as_array().unwrap();
            assert!(ports.iter().all(|port| port.as_str().unwrap().starts_with("127.0.0.1:")), "{file}: {ports:?}");
            // Each secret is a file, and each file is one that is declared.
            for (variable, path) in service["environment"].as_object().unwrap() {
                let secret = path.as_str().unwrap().strip_prefix("/run/secrets/").unwrap();
                assert!(variable.ends_with("_FILE") && document["secrets"][secret]["file"].is_string(), "{variable}");
                assert!(service["secrets"].as_array().unwrap().contains(&json!(secret)), "{file}: {secret}");
            }
        }
        let path = folder().join(&file).display().to_string();
        if let Some(output) = run("podman-compose", &["-f", &path, "config"], &folder()) {
            assert_taken(&output);
        }
    }
}

/// The manifests as `kubectl apply --kustomize` would send them.
fn manifests() -> Option<Vec<Value>> {
    let output = run("kubectl", &["kustomize", "kubernetes"], &folder())?;
    assert_taken(&output);
    Some(yaml(&String::from_utf8(output.stdout).unwrap()))
}

#[test]
fn kubernetes_gets_two_servers_that_may_do_little() {
    let Some(manifests) = manifests() else { return };
    let of = |kind: &str| manifests.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    let labels = json!({ "app.kubernetes.io/name": "issuecommand" });
    let deployment = &of("Deployment")["spec"];
    let pod = &deployment["template"]["spec"];
    let container = &pod["containers"][0];
    for (held, wanted) in [
        (deployment, json!({ "replicas": 2, "selector": { "matchLabels": labels } })),
        (&deployment["template"]["metadata"], json!({ "labels": labels })),
        (pod, json!({ "automountServiceAccountToken": false })),
        (
            &pod["securityContext"],
            json!({ "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } }),
        ),
        (
            &container["securityContext"],
            json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
            }),
        ),
        (&container["livenessProbe"]["httpGet"], json!({ "path": "/livez", "port": "http" })),
        (&container["readinessProbe"]["httpGet"], json!({ "path": "/readyz", "port": "http" })),
        (&of("Service")["spec"], json!({ "selector": labels })),
        (&of("PodDisruptionBudget")["spec"], json!({ "minAvailable": 1, "selector": { "matchLabels": labels } })),
        (&of("NetworkPolicy")["spec"], json!({ "podSelector": { "matchLabels": labels } })),
    ] {
        assert!(has(held, &wanted), "{wanted} is not in {held}");
    }
    // Everything is in the one namespace, and nothing there holds a secret itself.
    assert!(manifests.iter().all(|one| one["metadata"]["namespace"] == "issuecommand" && one["kind"] != "Secret"));
}

#[test]
fn kubernetes_mounts_all_that_servers_are_told_to_read() {
    let Some(manifests) = manifests() else { return };
    let of = |kind: &str| manifests.iter().find(|one| one["kind"] == kind).unwrap();
    let pod = &of("Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mounts = container["volumeMounts"].as_array().unwrap();
    let volumes = pod["volumes"].as_array().unwrap();
    for mount in mounts {
        assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "nothing is mounted at {mount}");
    }
    for variable in container["env"].as_array().unwrap() {
        let path = variable["value"].as_str().unwrap();
        let is_mounted = |mount: &Value| path.starts_with(mount["mountPath"].as_str().unwrap());
        assert!(variable["name"].as_str().unwrap().ends_with("_FILE"), "{variable}");
        assert!(mounts.iter().any(is_mounted), "{path} is nowhere");
    }
    // The configuration's name has a digest in it: both must have the same.
    let config = volumes.iter().find(|volume| volume["name"] == "config").unwrap();
    assert_eq!(config["configMap"]["name"], of("ConfigMap")["metadata"]["name"]);
    assert!(of("ConfigMap")["data"]["issuecommand.toml"].is_string());
}
