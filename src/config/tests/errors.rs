//! The words in which a wrong configuration is told.

use super::super::{Config, InPart, check, load_in_part};
use super::Folder;

#[track_caller]
fn reports(text: &str, expected: &str) {
    let report = Folder::with(text).report(&[]);
    assert_eq!(report, expected, "\n--- got ---\n{report}--- expected ---\n{expected}");
}

#[test]
fn an_unknown_key_is_told_with_the_one_that_was_probably_meant() {
    reports(
        "[policies.ranker]\nsources = \"builtin:rules\"\n",
        "\
issuecommand.toml:2:1: policies.ranker.sources: unknown key; did you mean \"source\"?
  |
2 | sources = \"builtin:rules\"
  | ^^^^^^^
",
    );
}

#[test]
fn a_key_in_the_wrong_section_is_told_with_the_right_one() {
    reports(
        "port = 1\n[github]\ninterval_minutes = 2\n[colours]\n",
        "\
issuecommand.toml:1:1: port: unknown section; did you mean \"server.port\"?
  |
1 | port = 1
  | ^^^^
issuecommand.toml:3:1: github.interval_minutes: unknown key; did you mean \"sync.interval_minutes\"?
  |
3 | interval_minutes = 2
  | ^^^^^^^^^^^^^^^^
issuecommand.toml:4:2: colours: unknown section; the sections are agent_groups, agents, areas, containers, dispatch, follow_ups, github, leases, log, mcp, policies, rate_limits, secrets, server, store, sync, telemetry, trust, webhooks
  |
4 | [colours]
  |  ^^^^^^^
",
    );
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    reports(
        "[server]\nport = \"http\"\ntrust_proxy = 1\nhots = \"::1\"\nshutdown_seconds = 9999\n\n[log]\nformat = \"xml\"\nlevel = \"inof\"\n",
        "\
issuecommand.toml:2:8: server.port: expected a whole number from 0 to 65535, found string \"http\"
  |
2 | port = \"http\"
  |        ^^^^^^
issuecommand.toml:3:15: server.trust_proxy: expected true or false, found integer 1
  |
3 | trust_proxy = 1
  |               ^
issuecommand.toml:4:1: server.hots: unknown key; did you mean \"host\"?
  |
4 | hots = \"::1\"
  | ^^^^
issuecommand.toml:5:20: server.shutdown_seconds: 9999 is out of range: from 0 to 600 seconds
  |
5 | shutdown_seconds = 9999
  |                    ^^^^
issuecommand.toml:8:10: log.format: unknown variant `xml`, expected `text` or `json`
  |
8 | format = \"xml\"
  |          ^^^^^
issuecommand.toml:9:9: log.level: \"inof\" is no level: expected off, error, warn, info, debug or trace; did you mean \"info\"?
  |
9 | level = \"inof\"
  |         ^^^^^^
  = a level, or directives as in \"info,issuecommand::sync=debug\"
",
    );
}

#[test]
fn wrong_toml_is_told_once_and_the_variables_are_checked_all_the_same() {
    let report = Folder::with("[server]\nport = 31 00\n[x]\n").report(&[("TRUST_PROXY", "perhaps")]);
    let expected = "\
issuecommand.toml:2:8: string values must be quoted, expected literal string
  |
2 | port = 31 00
  |        ^^^^^
environment: TRUST_PROXY: \"perhaps\" does not fit: expected 1, true, yes or on; or 0, false, no or off
";
    assert_eq!(report, expected);
}

#[test]
fn a_server_that_others_reach_must_have_a_key() {
    let folder = Folder::with("[server]\nhost = \"0.0.0.0\"\n");
    let expected = "\
issuecommand.toml:2:8: server.host: without an API key anyone who reaches 0.0.0.0 could take and release claims
  |
2 | host = \"0.0.0.0\"
  |        ^^^^^^^^^
  = set API_KEY or server.api_key, or listen on 127.0.0.1 only
";
    assert_eq!(folder.report(&[]), expected);
    assert!(folder.load(&[("API_KEY", "k")]).is_ok());
}

#[test]
fn a_rejected_value_of_a_variable_is_told_by_the_variable() {
    let folder = Folder::with("[leases]\ntimeout_minutes = 5\n");
    std::fs::write(folder.path().join(".env"), "\nCLAIM_TIMEOUT_MINUTES=0\n").unwrap();
    let expected = ".env:2: CLAIM_TIMEOUT_MINUTES: 0 is out of range: from 1 to 525600 minutes\n";
    assert_eq!(folder.report(&[]), expected);
}

#[test]
fn every_range_and_word_is_checked() {
    let wrong = [
        ("server", "allowed_hosts = [\"https://x\"]"),
        ("server", "allowed_origins = [\"x.org\"]"),
        ("server", "allowed_origins = [\"https://x.org/path\"]"),
        ("server", "connection_count_max = 0"),
        ("server", "header_timeout_seconds = 0"),
        ("server", "body_timeout_seconds = 601"),
        ("server", "body_bytes_max = 1023"),
        ("server", "port = 65536"),
        ("server", "host = \"localhost\""),
        ("store", "path = \"\""),
        ("store", "busy_timeout_ms = 600001"),
        ("store", "journal_mode = \"MEMORY\""),
        ("store", "journal_mode = \"WALL\""),
        ("store", "history_max_entries = 10000001"),
        ("store", "event_max_entries = 0"),
        ("store", "decision_max_entries = 10000001"),
        ("github", "api_url = \"api.github.com\""),
        ("github", "api_url = \"file:///etc\""),
        ("github", "repositories = [\"acme\"]"),
        ("github", "issues_file = \"\""),
        ("github", "connect_timeout_seconds = 0"),
        ("github", "read_timeout_seconds = 0"),
        ("github", "requests_per_minute_max = 60001"),
        ("sync", "interval_minutes = 0"),
        ("sync", "full_reconcile_hours = 8761"),
        ("github.app", "id = 7"),
        ("github.app", "private_key_file = \"app.pem\""),
        ("github.app", "private_key = \"key\""),
        ("leases", "timeout_minutes = 0"),
        ("leases", "auto_release_minutes = 525601"),
        ("leases", "sweep_seconds = 0"),
        ("rate_limits", "ip = { per_minute = 0 }"),
        ("rate_limits", "sse_connect = { burst = 0 }"),
        ("mcp", "profile = \"tiny\""),
        ("log", "level = \"\""),
        ("log", "level = \"info,issuecommand=loud\""),
        ("log", "level = \"issuecommand\""),
        ("log", "file = \"\""),
        ("log", "file_bytes_max = \"63k\""),
        ("log", "file_count_max = 0"),
        ("telemetry", "otlp_endpoint = \"localhost:4318\""),
        ("telemetry", "otlp_endpoint = \"http://\""),
        ("telemetry", "otlp_endpoint = \"http://collector:4318/?a=b\""),
        ("telemetry", "share = 1.5"),
        ("telemetry", "share = -0.1"),
        ("policies", "call_ms_max = 0"),
        ("policies", "choose_ms_max = 5001"),
        ("policies", "memory_bytes_max = 1"),
        ("policies.ranker", "source = \"\""),
        ("policies.ranker", "source = \"builtin:rule\""),
        ("policies.stale_rule", "source = \"builtin:rules\""),
        ("policies.repo_filter", "sha256 = \"abc\""),
        ("policies.ranker", "settings.weight = inf"),
        ("policies.ranker", "settings = 5"),
    ];
    for (section, line) in wrong {
        let folder = Folder::with(&format!("[{section}]\n{line}\n"));
        let report = folder.load(&[]).expect_err(line);
        assert_eq!(report.problems.len(), 1, "{line}: {report}");
        let problem = &report.problems[0];
        assert_eq!(problem.line, Some(2), "{report}");
        let name = line.split(' ').next().unwrap();
        assert!(problem.key.starts_with(&format!("{section}.{name}")), "{report}");
    }
}

#[test]
fn what_is_allowed_is_not_refused() {
    let right = [
        "[server]\nport = 0\nhost = \"::1\"\nallowed_hosts = [\"x.org\", \"[::1]:80\"]\nallowed_origins = [\"https://x.org:8443\"]",
        "[github.app]\nid = 7\nprivate_key_file = \"app.pem\"\ninstallation_ids = [1, 2]",
        "[store]\njournal_mode = \"wal\"\nbusy_timeout_ms = 0",
        "[log]\nlevel = \"warn,issuecommand::sync=debug,hyper=off\"",
        "[log]\nlevel = \"TRACE\"",
        "[log]\nfile_bytes_max = \"0\"\nfile_count_max = 1",
        "[telemetry]\notlp_endpoint = \"https://collector.example.org/otlp\"\nshare = 0.0",
        "[policies.ranker]\nsource = \"mine.wasm\"\nsha256 = \"E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
        "[policies.ranker.settings]\nanything = { goes = [1, 2.5, \"x\", 2020-01-01] }\n\"a b\" = 1",
    ];
    for text in right {
        Folder::with(text).load(&[]).unwrap_or_else(|report| panic!("{text}\n{report}"));
    }
}

#[test]
fn part_of_a_table_keeps_the_defaults_of_its_own_place() {
    let text = "[rate_limits.ip]\nburst = 7\n[rate_limits.principal]\nper_minute = 9\n\
                [policies.repo_filter.settings]\nallow = [\"a/b\"]\n[policies.stale_rule]\n";
    let config = Folder::with(text).load(&[]).unwrap().config;
    assert_eq!((config.rate_limits.ip.per_minute, config.rate_limits.ip.burst), (120, 7));
    assert_eq!((config.rate_limits.principal.per_minute, config.rate_limits.principal.burst), (9, 6000));
    assert_eq!(config.policies.repo_filter.source, "builtin:allow-list");
    assert_eq!(config.policies.stale_rule.source, "builtin:lease-timeouts");
}

#[test]
fn dates_in_a_policys_settings_become_text() {
    let config = Folder::with("[policies.ranker.settings]\nfreeze = 2026-12-24\n").load(&[]).unwrap().config;
    assert_eq!(config.policies.ranker.settings["freeze"], "2026-12-24");
}

#[test]
fn a_number_that_is_not_finite_is_refused_wherever_a_policy_is_told_it() {
    for place in [
        "policies.ranker.settings",
        "policies.stale_rule.settings",
        "policies.repo_filter.settings",
        "policies.candidate.ranker.settings",
    ] {
        let rest = if place.contains("candidate") { "[policies.candidate]\nmode = \"shadow\"\n" } else { "" };
        for value in ["inf", "-inf", "+nan", "[1, { deep = inf }]", "1e999"] {
            let report = Folder::with(&format!("{rest}[{place}]\nweight = {value}\n")).report(&[]);
            assert!(report.contains(&format!("{place}.weight")) || value == "1e999", "{place} {value}: {report}");
        }
        for lists in [
            "[[policies.ranker.stage]]\nrole = \"score\"\nsource = \"a.wasm\"\n",
            "[[policies.override]]\nrepos = [\"a/b\"]\nranker.source = \"a.wasm\"\nranker.",
            "[[policies.override]]\nrepos = [\"a/b\"]\nstale_rule.",
        ] {
            let report = Folder::with(&format!("{lists}settings = {{ weight = inf }}\n")).report(&[]);
            assert!(report.contains("settings.weight: expected a finite number"), "{lists}: {report}");
        }
    }
}

#[test]
fn no_secret_is_ever_shown() {
    const SECRET: &str = "hunter2";
    let wrong = [
        "[server]\napi_key = hunter2\n".to_owned(),
        "[server]\napi_key = \"hunter2\n".to_owned(),
        "[server]\napi_key = [\"hunter2\"]\n".to_owned(),
        "server = { port = 1, api_key = \"hunter2\", x = 1 }\n".to_owned(),
        "[server]\napi_keys = \"hunter2\"\n".to_owned(),
        "[github]\ntoken = \"hunter2 \"\n".to_owned(),
        "[github.app]\nprivate_key = \"hunter2\"\n".to_owned(),
        "[github.app]\nprivate_key = hunter2\n".to_owned(),
        "[github]\ntoken = { a = \"hunter2\" }\n".to_owned(),
        "[github]\napi_url = \"https://ann:hunter2@github.example.org\"\n".to_owned(),
        "[telemetry]\notlp_endpoint = \"https://ann:hunter2@collector.example.org\"\n".to_owned(),
    ];
    for text in wrong {
        let report = Folder::with(&text).load(&[]).expect_err(&text);
        assert!(!format!("{report} {report:?}").contains(SECRET), "{text}\n{report}");
    }
    let report = Folder::with("[server]\napi_key = 31337\n").report(&[]);
    assert!(!report.contains("31337"), "{report}");
    let folder = Folder::with("");
    for name in ["API_KEY", "GITHUB_TOKEN", "GITHUB_API_URL"] {
        let report = folder.load(&[(name, "http://hunter2 x@y")]).expect_err(name);
        assert!(!format!("{report} {report:?}").contains(SECRET), "{report}");
    }
    let env = [("API_KEY", SECRET), ("GITHUB_TOKEN", SECRET), ("GITHUB_WEBHOOK_SECRET", SECRET)];
    let loaded = folder.load(&env).unwrap();
    let summary = check(&folder.source(&env)).unwrap();
    let shown = format!("{loaded:?} {summary} {summary:?} {:?}", folder.source(&env));
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn an_unreadable_dotenv_file_is_told_by_its_line_alone() {
    let folder = Folder::with("");
    std::fs::write(folder.path().join(".env"), "HTTP_PORT=1\nAPI_KEY=hunter2 and more\n").unwrap();
    let report = folder.report(&[]);
    assert!(report.starts_with(".env:2: cannot be read as NAME=value\n"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn a_file_that_was_asked_for_must_exist() {
    let expected = "issuecommand.toml: does not exist\n = create it, or name another file\n";
    assert_eq!(Folder::empty().report(&[]), expected);
}

#[test]
fn a_sound_configuration_is_told_by_what_it_changes_and_who_changed_it() {
    let folder = Folder::with("[server]\nport = 8080\nbody_timeout_seconds = 10\n");
    let env = [("API_KEY", "hunter2"), ("ALLOWED_REPOS", "acme/*"), ("WEBHOOK_PATH", "/x")];
    let summary = check(&folder.source(&env)).unwrap().to_string();
    let expected = "\
issuecommand.toml is fine: 4 values differ from the defaults
  policies.repo_filter.settings.allow  [\"acme/*\"]  env ALLOWED_REPOS
  server.api_key                       (secret)    env API_KEY
  server.port                          8080        issuecommand.toml:2
  webhooks.path                        \"/x\"        env WEBHOOK_PATH
";
    assert_eq!(summary.replace(&format!("{}/", folder.path().display()), ""), expected);
}

#[test]
fn of_a_wrong_file_what_can_be_read_is_known_and_the_rest_is_default() {
    let env = [("HTTP_PORT", "4000")];
    for wrong in ["[policies.ranker\nsource = 1\n", "[leases]\ntimeout_minutes = \"soon\"\n", "[server]\nnothing = 1\n"]
    {
        let folder = Folder::with(&format!("[store]\npath = \"claims.db\"\n{wrong}"));
        let InPart { loaded, report, unplaced } = load_in_part(&folder.source(&env));
        assert_eq!(loaded.store().path, folder.path().join("claims.db"), "{wrong}");
        assert_eq!((loaded.config.server.port, loaded.config.policies), (4000, Config::default().policies), "{wrong}");
        assert_eq!((&report, unplaced), (&folder.load(&env).err(), None), "{wrong}");
        assert!(report.is_some_and(|report| report.first().contains("issuecommand.toml:")), "{wrong}");
    }
    let good = Folder::with("");
    let expected = InPart { loaded: good.load(&[]).unwrap(), report: None, unplaced: None };
    assert_eq!(load_in_part(&good.source(&[])), expected);
}

#[test]
fn a_problem_that_leaves_open_which_server_is_meant_is_told_unless_the_environment_says_which() {
    let open = |text: &str, env: &[(&str, &str)]| load_in_part(&Folder::with(text).source(env)).unplaced;
    let named = [("SQLITE_PATH", "other.db")];
    for wrong in [
        "[store]\npath = 5\n",
        "[store]\npath = \"claims.db\npath_of = 1\n",
        "[store\npath = \"claims.db\"\n",
        "[store]\npath = \"a.db\"\n[server\n[store]\npath = \"b.db\"\n",
        "[store]\npath = \"a.db\"\npath = \"b.db\"\n",
        "[store]\npaht = \"a.db\"\n[server\n",
        "[server]\nstore.path = \"claims.db\"\n[sync\n",
        "[server]\nallow = [\n[store]\npath = \"claims.db\"\n",
        "[store]\npaht = \"claims.db\"\n",
        "[stroe]\npath = \"claims.db\"\n",
        "store = \"claims.db\"\n",
        "[server]\nsocket = 5\n[store]\n",
    ] {
        let told = open(wrong, &[]).unwrap_or_else(|| panic!("it is taken for known: {wrong}"));
        assert!(told.contains("issuecommand.toml:") && told.ends_with("so it is not known which server is meant"));
        assert_eq!(told.lines().count(), 1, "{told}");
        assert_eq!(open(wrong, &named), None, "{wrong}");
    }
    for known in [
        "[server\n",
        "store.path = \"claims.db\"\n[server\n",
        "[leases]\ntimeout_minutes = \"soon\"\n",
        "[server]\nprot = 1\n",
        "[server\nport = 1\n[store] # ours\npath = \"claims.db\"\n[sync]\n",
        "[store]\npath = \"claims.db\"\njournal_mode = \"none\"\n[stroe]\n",
        "[store]\nhistory_max_entries = \"many\"\n",
    ] {
        assert_eq!((open(known, &[]), open(known, &named)), (None, None), "{known}");
    }
    // A file that was named and is not there is a slip, whatever the environment says.
    let told = load_in_part(&Folder::empty().source(&named)).unplaced.unwrap();
    assert!(told.contains("issuecommand.toml: does not exist, so"), "{told}");
    // What a broken `.env` says of it is not known.
    let folder = Folder::with("[store]\npath = \"claims.db\"\n");
    let dotenv = |text: &str| std::fs::write(folder.path().join(".env"), text).unwrap();
    dotenv("API_KEY=a and b\nSQLITE_PATH=other.db\n");
    assert!(load_in_part(&folder.source(&[])).unplaced.is_some());
    assert_eq!(load_in_part(&folder.source(&named)).unplaced, None);
    dotenv("SQLITE_PATH=other.db\nAPI_KEY=a and b\n");
    let InPart { loaded, unplaced, .. } = load_in_part(&folder.source(&[]));
    assert_eq!((loaded.store().path, unplaced), (folder.path().join("other.db"), None));
}
