//! Every environment variable: what it sets, what it refuses, who wins.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{BUILTIN_STALE_RULE, Origin, VARIABLES, values};
use super::Folder;

/// Name, a valid value, the key it sets and to what, and an invalid value if there is one.
const TABLE: &[(&str, &str, &str, &str, Option<&str>)] = &[
    ("GITHUB_TOKEN", "ghp_x", "github.token", r#""(secret)""#, Some("two words")),
    ("GITHUB_API_URL", "http://127.0.0.1:9/", "github.api_url", r#""http://127.0.0.1:9/""#, Some("ftp://x")),
    ("GITHUB_APP_ID", "4242", "github.app.id", "4242", Some("0")),
    ("GITHUB_APP_PRIVATE_KEY_FILE", "app.pem", "github.app.private_key_file", r#""app.pem""#, None),
    ("GITHUB_APP_PRIVATE_KEY", "-----BEGIN", "github.app.private_key", r#""(secret)""#, None),
    ("AUTO_CLOSE_GITHUB_ISSUE", "Yes", "github.auto_close_issue", "true", Some("maybe")),
    ("API_KEY", "k3y", "server.api_key", r#""(secret)""#, Some("k\u{e9}y")),
    ("HTTP_PORT", "8080", "server.port", "8080", Some("65536")),
    ("TRUST_PROXY", "ON", "server.trust_proxy", "true", Some("2")),
    ("DATABASE_URL", "postgres://me@db/claims", "store.url", r#""(secret)""#, Some("mysql://x")),
    ("SQLITE_PATH", "/data/x.db", "store.path", r#""/data/x.db""#, None),
    ("SQLITE_BUSY_TIMEOUT_MS", "250", "store.busy_timeout_ms", "250", Some("-1")),
    ("SQLITE_JOURNAL_MODE", "truncate", "store.journal_mode", r#""TRUNCATE""#, Some("off")),
    ("HISTORY_MAX_ENTRIES", "7", "store.history_max_entries", "7", Some("many")),
    ("ISSUECOMMAND_DISPATCH", "yes", "dispatch.enabled", "true", Some("perhaps")),
    ("ISSUECOMMAND_WORKER", "on", "dispatch.worker", "true", Some("perhaps")),
    ("SYNC_INTERVAL_MINUTES", "3", "sync.interval_minutes", "3", Some("0")),
    ("CLAIM_TIMEOUT_MINUTES", "10", "leases.timeout_minutes", "10", Some("0")),
    ("STALE_AUTO_RELEASE_MINUTES", "5", "leases.auto_release_minutes", "5", Some("1.5")),
    (
        "ALLOWED_REPOS",
        "Acme/Small, acme/*,",
        "policies.repo_filter.settings.allow",
        r#"["acme/small","acme/*"]"#,
        Some("acme"),
    ),
    ("LOG_FILE", "x.log", "log.file", r#""x.log""#, None),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://127.0.0.1:4318",
        "telemetry.otlp_endpoint",
        r#""http://127.0.0.1:4318""#,
        Some("http://me:pass@collector:4318"),
    ),
    ("RATE_LIMIT_ENABLED", "off", "rate_limits.enabled", "false", Some("")),
    ("RATE_LIMIT_IP_PER_MINUTE", "1", "rate_limits.ip.per_minute", "1", Some("0")),
    ("RATE_LIMIT_IP_BURST", "2", "rate_limits.ip.burst", "2", Some("0")),
    ("RATE_LIMIT_PRINCIPAL_PER_MINUTE", "3", "rate_limits.principal.per_minute", "3", Some("0")),
    ("RATE_LIMIT_PRINCIPAL_BURST", "4", "rate_limits.principal.burst", "4", Some("4294967296")),
    ("RATE_LIMIT_AGENT_MUTATIONS_PER_MINUTE", "5", "rate_limits.agent_mutations.per_minute", "5", Some("0")),
    ("RATE_LIMIT_AGENT_MUTATIONS_BURST", "6", "rate_limits.agent_mutations.burst", "6", Some("x")),
    ("RATE_LIMIT_SSE_CONNECT_PER_MINUTE", "7", "rate_limits.sse_connect.per_minute", "7", Some("0")),
    ("RATE_LIMIT_SSE_CONNECT_BURST", "8", "rate_limits.sse_connect.burst", "8", Some("0")),
    ("STATE_FILE_PATH", "state.json", "store.state_file", r#""state.json""#, None),
    ("WEBHOOK_ENABLED", "no", "webhooks.enabled", "false", Some("nope")),
    ("WEBHOOK_PATH", "/hook", "webhooks.path", r#""/hook""#, Some("hook")),
    ("WEBHOOK_DEDUPE_MAX_ENTRIES", "9", "store.delivery_max_entries", "9", Some("x")),
    ("GITHUB_WEBHOOK_SECRET", "s3cret", "webhooks.secret", r#""(secret)""#, None),
    ("FOLLOWUP_STALE_MINUTES", "9", "follow_ups.stale_minutes", "9", Some("-9")),
    ("FOLLOWUP_MAX_ENTRIES", "9", "store.follow_up_max_entries", "9", Some("x")),
];

#[test]
fn the_table_of_this_test_has_every_variable() {
    let tested: BTreeSet<_> = TABLE.iter().map(|row| row.0).collect();
    assert_eq!(tested, VARIABLES.iter().map(|variable| variable.name).collect());
}

#[test]
fn every_variable_sets_its_key_and_nothing_else() {
    let folder = Folder::with("");
    let before = values(&folder.load(&[]).unwrap().config);
    for (name, value, key, expected, _) in TABLE {
        let other = other_half_of(name);
        let env: Vec<_> = [(*name, *value)].into_iter().chain(other.map(|(name, value, _)| (name, value))).collect();
        let loaded = folder.load(&env).unwrap_or_else(|report| panic!("{name}: {report}"));
        let mut after = values(&loaded.config);
        if let Some((_, _, key)) = other {
            after.insert(key.into(), before[key].clone());
        }
        assert_eq!(after[*key], serde_json::from_str::<Value>(expected).unwrap(), "{name}");
        assert_eq!(loaded.origin(key), &Origin::Variable { name, file: None });
        if *name == "ALLOWED_REPOS" {
            assert_eq!(after["github.repositories"], json!(["acme/small"]));
            after.insert("github.repositories".into(), json!([]));
            after.insert("policies.repo_filter.settings".into(), json!({}));
        }
        let changed: Vec<_> = after.iter().filter(|(key, value)| before.get(*key) != Some(value)).collect();
        assert_eq!(changed.len(), 1, "{name} also changed {changed:?}");
    }
}

/// What must be set beside a variable: an app has an id and a key. Name, value and key.
fn other_half_of(name: &str) -> Option<(&'static str, &'static str, &'static str)> {
    match name {
        "ISSUECOMMAND_WORKER" => Some(("DATABASE_URL", "postgres://me@db/claims", "store.url")),
        "GITHUB_APP_ID" => Some(("GITHUB_APP_PRIVATE_KEY", "k", "github.app.private_key")),
        "GITHUB_APP_PRIVATE_KEY" | "GITHUB_APP_PRIVATE_KEY_FILE" => Some(("GITHUB_APP_ID", "7", "github.app.id")),
        _ => None,
    }
}

#[test]
fn every_invalid_value_is_refused_by_the_name_of_its_variable() {
    let folder = Folder::with("");
    for (name, _, _, _, invalid) in TABLE {
        let Some(invalid) = invalid.filter(|invalid| !invalid.is_empty()) else { continue };
        let report = folder.load(&[(name, invalid)]).expect_err(name);
        assert_eq!(report.problems.len(), 1, "{report}");
        let text = report.to_string();
        assert!(text.starts_with(&format!("environment: {name}: ")), "{text}");
        let secret = VARIABLES.iter().any(|variable| variable.name == *name && variable.secret);
        let hidden = secret || ["GITHUB_API_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"].contains(name);
        assert_eq!(text.to_lowercase().contains(&invalid.to_lowercase()), !hidden, "{text}");
    }
}

#[test]
fn flags_are_read_in_every_spelling_and_no_other() {
    let folder = Folder::with("");
    for (word, expected) in [
        ("1", true),
        ("true", true),
        ("YES", true),
        ("On", true),
        ("0", false),
        ("FALSE", false),
        ("no", false),
        ("off", false),
    ] {
        assert_eq!(folder.load(&[("TRUST_PROXY", word)]).unwrap().config.server.trust_proxy, expected, "{word}");
    }
    let expected =
        "environment: TRUST_PROXY: \"ja\" does not fit: expected 1, true, yes or on; or 0, false, no or off\n";
    assert_eq!(folder.report(&[("TRUST_PROXY", "ja")]), expected);
}

#[test]
fn a_variable_wins_over_dotenv_and_dotenv_over_the_file() {
    let folder = Folder::with("[server]\nport = 1\n[sync]\ninterval_minutes = 1\n[leases]\ntimeout_minutes = 1\n");
    std::fs::write(folder.path().join(".env"), "# mine\nHTTP_PORT=2\nexport SYNC_INTERVAL_MINUTES=2\n").unwrap();
    let loaded = folder.load(&[("HTTP_PORT", "3")]).unwrap();
    let config = &loaded.config;
    assert_eq!((config.server.port, config.sync.interval_minutes, config.leases.timeout_minutes), (3, 2, 1));
    assert_eq!(loaded.origin("server.port").to_string(), "env HTTP_PORT");
    let place = format!("SYNC_INTERVAL_MINUTES in {}/.env:3", folder.path().display());
    assert_eq!(loaded.origin("sync.interval_minutes").to_string(), place);
    assert_eq!(loaded.origin("leases.timeout_minutes").to_string(), format!("{}:6", folder.file().display()));
    assert_eq!(loaded.origin("store.path").to_string(), "default");
    assert!(std::env::var_os("SYNC_INTERVAL_MINUTES").is_none(), "the process's environment was changed");
}

#[test]
fn secrets_may_be_in_files_that_variables_name() {
    let folder = Folder::with("[server]\nhost = \"0.0.0.0\"\n");
    std::fs::write(folder.path().join("key"), "k3y\n").unwrap();
    std::fs::write(folder.path().join("url"), " postgres://me:pass@db/claims \n").unwrap();
    let url = folder.path().join("url").display().to_string();
    let loaded = folder.load(&[("API_KEY_FILE", "key"), ("DATABASE_URL_FILE", &url)]).unwrap();
    assert_eq!(loaded.config.server.api_key.expose(), "k3y");
    assert_eq!(loaded.config.store.url.expose(), "postgres://me:pass@db/claims");
    assert_eq!(loaded.origin("store.url").to_string(), format!("DATABASE_URL in {url}"));
}

#[test]
fn a_file_that_holds_no_secret_is_refused_and_what_it_holds_is_not_told() {
    let folder = Folder::with("");
    let told = |env: &[(&str, &str)]| folder.report(env);
    let expected = "environment: API_KEY: API_KEY_FILE names key, which cannot be read: \
                    No such file or directory (os error 2)\n";
    assert_eq!(told(&[("API_KEY_FILE", "key")]), expected);
    std::fs::write(folder.path().join("key"), "\n").unwrap();
    assert_eq!(told(&[("API_KEY_FILE", "key")]), "environment: API_KEY: API_KEY_FILE names key, which is empty\n");
    std::fs::write(folder.path().join("key"), "h\u{fc}nter").unwrap();
    assert!(!told(&[("API_KEY_FILE", "key")]).contains("nter"));
    let both = "environment: API_KEY: is set, and so is API_KEY_FILE; leave one of them out\n";
    assert_eq!(told(&[("API_KEY_FILE", "key"), ("API_KEY", "k")]), both);
}

#[test]
fn every_secret_has_a_variable_for_its_file() {
    let folder = Folder::with("");
    std::fs::write(folder.path().join("secret"), "postgres://me@db/claims").unwrap();
    for variable in VARIABLES.iter().filter(|variable| variable.secret && variable.name != "GITHUB_APP_PRIVATE_KEY") {
        let loaded = folder.load(&[(&format!("{}_FILE", variable.name), "secret")]).unwrap();
        assert_eq!(values(&loaded.config)[variable.key], "(secret)", "{}", variable.name);
    }
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let folder = Folder::with("[server]\nport = 1\n");
    let env: Vec<_> = VARIABLES.iter().map(|variable| (variable.name, " ")).collect();
    let loaded = folder.load(&env).unwrap();
    assert_eq!(loaded.config, folder.load(&[]).unwrap().config);
    assert_eq!(loaded.config.server.port, 1);
}

#[test]
fn allowed_repositories_join_those_of_the_file_once() {
    let folder = Folder::with("[github]\nrepositories = [\"Acme/One\"]\n");
    let config = folder.load(&[("ALLOWED_REPOS", "acme/one,acme/two,other/*")]).unwrap().config;
    assert_eq!(config.github.repositories, ["Acme/One", "acme/two"]);
    assert_eq!(config.policies.repo_filter.settings["allow"], json!(["acme/one", "acme/two", "other/*"]));
}

#[test]
fn allowed_repositories_hold_beside_a_filter_of_ones_own_and_are_no_setting_of_it() {
    let folder = Folder::with("[policies.repo_filter]\nsource = \"mine.wasm\"\nsettings = { deny = [\"acme/x\"] }\n");
    let loaded = folder.load(&[("ALLOWED_REPOS", "acme/one,other/*")]).unwrap();
    let policies = loaded.config.effective_policies();
    assert_eq!(Value::from(policies.repo_filter.settings.clone()), json!({ "deny": ["acme/x"] }));
    let allowed = policies.allowed_filter().unwrap();
    assert_eq!(allowed.builtin_name(), Some("allow-list"));
    assert_eq!(Value::from(allowed.settings), json!({ "allow": ["acme/one", "other/*"] }));
    assert_eq!(loaded.config.github.repositories, ["acme/one"]);
    assert!(loaded.notes.iter().any(|note| note.contains("ALLOWED_REPOS holds beside")), "{:?}", loaded.notes);
    assert_eq!(folder.load(&[]).unwrap().config.policies.allowed_filter(), None);
}

#[test]
fn the_built_in_stale_rule_gets_the_leases_where_it_has_no_times_of_its_own() {
    let text = "[leases]\ntimeout_minutes = 10\nauto_release_minutes = 5\n\
                [policies.stale_rule.settings]\nauto_release_minutes = 7\n";
    let config = Folder::with(text).load(&[("CLAIM_TIMEOUT_MINUTES", "11")]).unwrap().config;
    let settings = config.effective_policies().stale_rule.settings;
    assert_eq!(Value::from(settings), json!({ "claim_timeout_minutes": 11, "auto_release_minutes": 7 }));
    assert_eq!(config.policies.stale_rule.builtin_name(), Some(BUILTIN_STALE_RULE));
}

#[test]
fn another_stale_rule_gets_its_own_settings_only() {
    let folder = Folder::with("[policies.stale_rule]\nsource = \"mine.wasm\"\n");
    let loaded = folder.load(&[("CLAIM_TIMEOUT_MINUTES", "11")]).unwrap();
    assert!(loaded.config.effective_policies().stale_rule.settings.is_empty());
    assert!(loaded.watched_files().contains(&folder.path().join("mine.wasm")));
}

#[test]
fn a_name_one_slip_away_is_pointed_out() {
    let notes = Folder::with("").load(&[("HTTP_PROT", "1"), ("API_KEY", "k")]).unwrap().notes;
    assert_eq!(notes, ["HTTP_PROT is set, but nothing reads it; did you mean HTTP_PORT?"]);
}

#[cfg(unix)]
#[test]
fn secrets_in_a_file_that_everybody_may_read_are_pointed_out() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::with("");
    let notes = |text: &str, mode: u32| {
        let file = folder.path().join(".env");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        folder.load(&[("API_KEY", "k")]).unwrap().notes
    };
    let told = notes("GITHUB_TOKEN=hunter2\n", 0o644);
    let [note] = &told[..] else { panic!("{told:?}") };
    assert!(note.contains("holds secrets") && note.contains("chmod 600") && !note.contains("hunter2"), "{note}");
    assert!(notes("GITHUB_TOKEN=hunter2\n", 0o640).is_empty());
    assert!(notes("HTTP_PORT=3101\n", 0o644).is_empty(), "no secret");
    assert!(notes("GITHUB_TOKEN=\n", 0o644).is_empty(), "an empty one is none");
    assert!(notes("API_KEY=another\n", 0o644).is_empty(), "the process's own is what counts");
}

#[test]
fn a_short_key_is_pointed_out_where_others_reach_the_server() {
    let notes = |host: &str, key: &str| {
        Folder::with(&format!("[server]\nhost = \"{host}\"\n")).load(&[("API_KEY", key)]).unwrap().notes
    };
    let (short, long) = ("fifteen-letters", "sixteen-letters!");
    assert!(short.len() == 15 && long.len() == 16);
    let told = notes("0.0.0.0", short);
    let [note] = &told[..] else { panic!("{told:?}") };
    assert!(note.contains("shorter than 16 bytes, and whoever reaches 0.0.0.0 can guess"), "{note}");
    assert!(!note.contains(short), "{note}");
    for (host, key) in [("0.0.0.0", long), ("127.0.0.1", short), ("::1", short)] {
        assert!(notes(host, key).is_empty(), "{host} {key}");
    }
}

#[test]
fn a_server_without_a_key_is_pointed_out() {
    let notes = Folder::with("").load(&[]).unwrap().notes;
    assert_eq!(notes, ["there is no API key, so every program on this machine may call; only 127.0.0.1 is served"]);
}
