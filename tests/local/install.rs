//! Clients' own configuration files, before and after.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A user's home, with a configuration of the server.
struct User {
    dir: tempfile::TempDir,
}

/// Each client with its file, an example of it in use, and the path of our entry.
const CLIENTS: [(&str, &str, &str, &str); 7] = [
    ("claude-desktop", ".config/Claude/claude_desktop_config.json", PLAIN, "/mcpServers/issuecommand"),
    ("claude-code", ".claude.json", PLAIN, "/mcpServers/issuecommand"),
    ("cursor", ".cursor/mcp.json", COMMENTED, "/mcpServers/issuecommand"),
    ("codex", ".codex/config.toml", TOML, "/mcp_servers/issuecommand"),
    ("opencode", ".config/opencode/opencode.json", OPENCODE, "/mcp/issuecommand"),
    ("vscode", ".config/Code/User/mcp.json", VSCODE, "/servers/issuecommand"),
    ("gemini", ".gemini/settings.json", COMMENTED, "/mcpServers/issuecommand"),
];

const PLAIN: &str = "{\n    \"zoom\": 1.50,\n    \"mcpServers\": {\n        \"files\": {\"command\": \"npx\", \"args\": [ \"-y\",\"files\" ]}\n    },\n    \"last\": \"\\u00e9\"\n}";
const COMMENTED: &str = "// mine\n{\n\t\"theme\": \"dark\", /* as it should be */\n\t\"mcpServers\": {\n\t\t// for reading\n\t\t\"files\": { \"command\": \"npx\", },\n\t},\n}\n";
const OPENCODE: &str = "{\n  \"model\": \"x/y\", // the good one\n  \"mcp\": {\n    \"files\": { \"type\": \"local\", \"command\": [\"npx\"] }\n  }\n}\n";
const VSCODE: &str = "{\n\t// servers of mine\n\t\"inputs\": [],\n\t\"servers\": {}\n}\n";
const TOML: &str = "# mine\nmodel = 'gpt'   # the good one\n\n[mcp_servers.files]\ncommand = \"npx\" # fast\nargs = [ \"-y\",\n  \"files\" ]\n\n[tui]\nnotifications = true\n";

impl User {
    fn new() -> Self {
        let user = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(user.path("issuecommand.toml"), "").unwrap();
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn install(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
        command.env_clear().env("HOME", self.dir.path()).current_dir(self.dir.path());
        command.args(["mcp", "install"]).args(words).output().unwrap()
    }

    fn installed(&self, words: &[&str]) -> String {
        let done = self.install(words);
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// Every file below the home, with its text.
    fn files(&self) -> Vec<(PathBuf, String)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push((path.clone(), fs::read_to_string(&path).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        found.sort();
        found
    }
}

/// The file as the client reads it.
fn parsed(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "toml") {
        return toml::from_str(&text).unwrap();
    }
    serde_json::from_str(&without_comments(&text)).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Enough of JSONC for the examples above.
fn without_comments(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_once("// ").map_or(line, |(code, _)| code));
    let text = lines.collect::<String>().replace("/* as it should be */", "");
    let squeezed: String = text.split_whitespace().collect();
    squeezed.replace(",}", "}")
}

/// The words with which the entry at `pointer` starts us.
fn words_at(file: &Value, pointer: &str) -> Vec<String> {
    let entry = file.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {file}"));
    let list = |value: &Value| value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect();
    match &entry["command"] {
        Value::String(command) => [vec![command.clone()], list(&entry["args"])].concat(),
        command => list(command),
    }
}

#[test]
fn every_client_without_a_file_gets_one_that_starts_us_with_absolute_paths() {
    for (client, file, _, pointer) in CLIENTS {
        let user = User::new();
        user.installed(&[client]);
        let written = parsed(&user.path(file));
        let config = user.path("issuecommand.toml").display().to_string();
        let expected = [env!("CARGO_BIN_EXE_issuecommand"), "mcp", "--config", &config, "--profile", "minimal"];
        assert_eq!(words_at(&written, pointer), expected, "{client}");
        let kind = written.pointer(pointer).unwrap().get("type").and_then(Value::as_str);
        let wanted = match client {
            "opencode" => Some("local"),
            "claude-code" | "vscode" => Some("stdio"),
            _ => None,
        };
        assert_eq!(kind, wanted, "{client}");
        let files = user.files();
        assert_eq!(files.len(), 2, "{client}: nothing else was written: {files:?}");
    }
}

#[test]
fn everything_else_in_a_file_stays_as_it_was_and_the_old_one_is_kept() {
    for (client, file, old, pointer) in CLIENTS {
        let user = User::new();
        let path = user.put(file, old);
        let said = user.installed(&[client, "--agent", "ada"]);
        let new = fs::read_to_string(&path).unwrap();
        let kept = new.lines().collect::<Vec<_>>();
        for line in old.lines().filter(|line| !line.contains("\"servers\"") && !line.trim_end().ends_with('}')) {
            assert!(kept.contains(&line), "{client} lost {line:?}:\n{new}");
        }
        let backup = PathBuf::from(format!("{}.bak", path.display()));
        assert!(said.contains(&backup.display().to_string()), "{said}");
        assert_eq!(fs::read_to_string(backup).unwrap(), old, "{client}");
        let file = parsed(&path);
        assert_eq!(words_at(&file, pointer).last().unwrap(), "ada", "{client}");
        if client != "vscode" {
            let other = file.pointer(&pointer.replace("issuecommand", "files")).unwrap();
            assert!(other["command"].to_string().contains("npx"), "{client}: {file}");
        }
    }
}

#[test]
fn a_second_run_changes_nothing_and_another_wish_changes_only_that() {
    for (client, file, old, pointer) in CLIENTS {
        let user = User::new();
        let path = user.put(file, old);
        user.installed(&[client]);
        let once = user.files();
        let said = user.installed(&[client]);
        assert!(said.contains("set up already"), "{said}");
        assert_eq!(user.files(), once, "{client}");

        // What users add to our entry is theirs.
        let text = fs::read_to_string(&path).unwrap();
        let (ours, theirs) = if client == "codex" {
            ("[mcp_servers.issuecommand]", "[mcp_servers.issuecommand]\nenv = { TOKEN = \"t\" } # mine")
        } else {
            ("\"issuecommand\": {", "\"issuecommand\": {\n\"env\": { \"TOKEN\": \"t\" },")
        };
        assert!(text.contains(ours), "{text}");
        fs::write(&path, text.replace(ours, theirs)).unwrap();
        user.installed(&[client, "--profile", "full"]);
        let changed = parsed(&path);
        assert_eq!(words_at(&changed, pointer).last().unwrap(), "full", "{client}");
        assert_eq!(changed.pointer(pointer).unwrap()["env"]["TOKEN"], "t", "{client}");
    }
}

#[test]
fn an_entry_that_reached_a_server_over_http_becomes_one_that_starts_us_and_nothing_of_both() {
    let json = |table: &str, fields: &str| {
        format!("{{ \"{table}\": {{ \"issuecommand\": {{ {fields}, \"env\": {{ \"A\": \"b\" }} }} }} }}\n")
    };
    let http = r#""type": "http", "url": "http://127.0.0.1:3100/mcp", "headers": { "Authorization": "Bearer t" }"#;
    let remote = r#""type": "remote", "url": "http://127.0.0.1:3100/mcp", "headers": {}, "oauth": false"#;
    let toml = "[mcp_servers.issuecommand]\nurl = \"http://127.0.0.1:3100/mcp\"\nbearer_token_env_var = \"TOKEN\"\n\
                env = { A = \"b\" }\n\n[mcp_servers.issuecommand.http_headers]\nX-Agent-Id = \"ada\"\n";
    let gemini = r#""httpUrl": "http://127.0.0.1:3100/mcp", "headers": {}, "timeout": 5000"#;
    for (client, file, _, pointer) in CLIENTS {
        let old = match client {
            "codex" => toml.to_owned(),
            "opencode" => json("mcp", remote),
            "vscode" => json("servers", http),
            "gemini" => json("mcpServers", gemini),
            _ => json("mcpServers", http),
        };
        let user = User::new();
        let path = user.put(file, &old);
        user.installed(&[client]);
        let file = parsed(&path);
        let entry = file.pointer(pointer).unwrap().as_object().unwrap();
        assert_eq!(words_at(&file, pointer)[1], "mcp", "{client}");
        let known = ["type", "command", "args", "enabled", "env", "timeout"];
        let foreign: Vec<_> = entry.keys().filter(|key| !known.contains(&key.as_str())).collect();
        assert!(foreign.is_empty(), "{client} keeps {foreign:?}: {file}");
        assert!(!["http", "remote"].iter().any(|kind| entry.get("type") == Some(&Value::from(*kind))), "{file}");
        assert_eq!(entry["env"]["A"], "b", "what is no way to a server stays: {client}");
    }
}

#[test]
fn a_file_that_cannot_be_parsed_is_named_with_line_and_column_and_left_alone() {
    for (client, file, old, _) in CLIENTS {
        let broken = [
            (old.replacen("npx\"", "npx", 1).replacen("[]", "[", 1), ":"),
            (if client == "codex" { "mcp_servers = 1\n".into() } else { "[1, 2]".to_owned() }, "holds no table"),
        ];
        for (text, mark) in broken {
            let user = User::new();
            let path = user.put(file, &text);
            let before = user.files();
            let done = user.install(&[client]);
            let why = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(!done.status.success(), "{client} took {text}");
            assert!(why.contains(&format!("{}{mark}", path.display())) || why.contains(mark), "{client}: {why}");
            if mark == ":" {
                let place = why.split_once(&format!("{}:", path.display())).unwrap().1;
                let numbers = place.split(':').take(2).filter(|part| part.trim().parse::<usize>().is_ok()).count();
                assert_eq!(numbers, 2, "{client}: line and column: {why}");
            }
            assert_eq!(user.files(), before, "{client}");
        }
    }
}

#[test]
fn a_project_has_files_of_its_own_and_links_stay_links() {
    let user = User::new();
    let files = [
        ("claude-code", ".mcp.json"),
        ("cursor", ".cursor/mcp.json"),
        ("codex", ".codex/config.toml"),
        ("opencode", "opencode.json"),
        ("vscode", ".vscode/mcp.json"),
        ("gemini", ".gemini/settings.json"),
    ];
    for (client, file) in files {
        let said = user.installed(&[client, "--project"]);
        assert!(said.contains(&user.path(file).display().to_string()) && user.path(file).exists(), "{said}");
    }
    assert!(!user.install(&["claude-desktop", "--project"]).status.success());

    let real = user.put("dotfiles/desktop.json", "{}\n");
    let link = user.path(".config/Claude/claude_desktop_config.json");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    user.installed(&["claude-desktop"]);
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("issuecommand"));

    let dangling = user.path(".gemini/settings.json");
    fs::remove_file(&dangling).ok();
    fs::create_dir_all(dangling.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("../dotfiles/gemini.json", &dangling).unwrap();
    user.installed(&["gemini"]);
    assert!(dangling.symlink_metadata().unwrap().is_symlink());
    assert!(fs::read_to_string(user.path("dotfiles/gemini.json")).unwrap().contains("issuecommand"));
}

#[test]
fn the_list_says_which_clients_are_here_and_which_are_set_up() {
    let user = User::new();
    user.installed(&["codex"]);
    user.put(".cursor/mcp.json", "{}");
    user.put(".gemini/settings.json", "{ broken");
    let rows: Value = serde_json::from_str(&user.installed(&["--json"])).unwrap();
    let row = |name: &str| rows.as_array().unwrap().iter().find(|row| row["client"] == name).unwrap();
    let state = |name: &str| (row(name)["found"] == true, row(name)["set_up"] == true);
    assert_eq!(state("codex"), (true, true));
    assert_eq!(state("cursor"), (true, false));
    assert_eq!(state("vscode"), (false, false));
    assert!(row("gemini")["problem"].as_str().unwrap().contains(":1:"), "{rows}");
    let table = user.installed(&[]);
    let starts: Vec<_> = table.lines().skip(1).map(|line| line.find('/').unwrap()).collect();
    assert!(starts.len() == 7 && starts.iter().all(|start| *start == starts[0]), "{table}");
}

#[test]
fn a_snippet_is_printed_and_nothing_is_written() {
    let user = User::new();
    let before = user.files();
    let json: Value = serde_json::from_str(&user.installed(&["claude-desktop", "--print"])).unwrap();
    assert_eq!(words_at(&json, "/mcpServers/issuecommand")[1], "mcp");
    let toml: Value = toml::from_str(&user.installed(&["codex", "--print"])).unwrap();
    assert_eq!(words_at(&toml, "/mcp_servers/issuecommand")[1], "mcp");
    assert_eq!(user.files(), before);
}

#[test]
fn without_a_configuration_nothing_is_set_up_since_every_client_would_find_another_database() {
    let user = User::new();
    fs::remove_file(user.path("issuecommand.toml")).unwrap();
    let done = user.install(&["codex"]);
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("--config"), "{done:?}");
    assert!(user.files().is_empty());
}
