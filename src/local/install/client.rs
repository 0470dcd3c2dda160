//! The clients there are: where each keeps its configuration, and in which form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Entry, InstallError, Unfit, file, json, toml};

/// Where a user's files are, as the environment says.
#[derive(Debug, Clone, Default)]
pub struct Homes {
    /// The environment.
    pub env: BTreeMap<String, PathBuf>,
    /// The folder of the project.
    pub project: PathBuf,
}

impl Homes {
    /// Those of this process.
    ///
    /// # Errors
    /// When the working folder is gone.
    pub fn of_process() -> std::io::Result<Self> {
        let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into())));
        Ok(Self { env: env.collect(), project: std::env::current_dir()? })
    }

    fn set(&self, name: &str) -> Option<PathBuf> {
        self.env.get(name).filter(|value| !value.as_os_str().is_empty()).cloned()
    }

    fn home(&self) -> Option<PathBuf> {
        self.set("HOME")
    }

    /// Where applications keep their settings: it depends on the system.
    fn settings(&self) -> Option<PathBuf> {
        if cfg!(target_os = "macos") {
            return Some(self.home()?.join("Library/Application Support"));
        }
        self.config()
    }

    /// Where command line programs do, on every unix.
    fn config(&self) -> Option<PathBuf> {
        self.set("XDG_CONFIG_HOME").or_else(|| Some(self.home()?.join(".config")))
    }

    fn has_program(&self, name: &str) -> bool {
        let path = self.set("PATH").unwrap_or_default();
        std::env::split_paths(path.as_os_str()).any(|folder| folder.join(name).is_file())
    }
}

/// How a client writes an entry down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `"mcpServers": { "x": { "command": "...", "args": [...] } }`
    McpServers,
    /// The same, with `"type": "stdio"`.
    TypedMcpServers,
    /// `"servers": { "x": { "type": "stdio", "command": "...", "args": [...] } }`
    Servers,
    /// `"mcp": { "x": { "type": "local", "command": ["...", ...], "enabled": true } }`
    Mcp,
    /// `[mcp_servers.x]` in TOML.
    Toml,
}

/// Keys by which one client or another says in an entry that the server is reached over HTTP. A process has
/// none of them, and a client refuses an entry with both, or takes the wrong one.
pub(super) const HTTP_KEYS: [&str; 14] = [
    "url",
    "httpUrl",
    "serverUrl",
    "headers",
    "http_headers",
    "env_http_headers",
    "headersHelper",
    "bearer_token_env_var",
    "oauth",
    "oauth_resource",
    "scopes",
    "auth",
    "authProviderType",
    "tcp",
];

/// An MCP client.
#[derive(Debug)]
pub struct Client {
    /// What it is called here.
    pub name: &'static str,
    /// What it calls itself.
    pub title: &'static str,
    form: Form,
    /// Its program, if it has one on the path.
    program: Option<&'static str>,
    /// The user's file.
    file: fn(&Homes) -> Option<PathBuf>,
    /// The project's file, below the project's folder.
    project_file: Option<&'static str>,
}

/// Every client we know, each as its documentation says (checked in 2026).
pub static CLIENTS: [Client; 7] = [
    Client {
        name: "claude-desktop",
        title: "Claude Desktop",
        form: Form::McpServers,
        program: None,
        file: |homes| Some(homes.settings()?.join("Claude/claude_desktop_config.json")),
        project_file: None,
    },
    Client {
        name: "claude-code",
        title: "Claude Code",
        form: Form::TypedMcpServers,
        program: Some("claude"),
        file: |homes| Some(homes.set("CLAUDE_CONFIG_DIR").or_else(|| homes.home())?.join(".claude.json")),
        project_file: Some(".mcp.json"),
    },
    Client {
        name: "cursor",
        title: "Cursor",
        form: Form::McpServers,
        program: Some("cursor"),
        file: |homes| Some(homes.home()?.join(".cursor/mcp.json")),
        project_file: Some(".cursor/mcp.json"),
    },
    Client {
        name: "codex",
        title: "Codex",
        form: Form::Toml,
        program: Some("codex"),
        file: |homes| {
            let folder = homes.set("CODEX_HOME").or_else(|| Some(homes.home()?.join(".codex")));
            Some(folder?.join("config.toml"))
        },
        project_file: Some(".codex/config.toml"),
    },
    Client {
        name: "opencode",
        title: "opencode",
        form: Form::Mcp,
        program: Some("opencode"),
        file: |homes| Some(homes.config()?.join("opencode/opencode.json")),
        project_file: Some("opencode.json"),
    },
    Client {
        name: "vscode",
        title: "Visual Studio Code",
        form: Form::Servers,
        program: Some("code"),
        file: |homes| Some(homes.settings()?.join("Code/User/mcp.json")),
        project_file: Some(".vscode/mcp.json"),
    },
    Client {
        name: "gemini",
        title: "Gemini CLI",
        form: Form::McpServers,
        program: Some("gemini"),
        file: |homes| Some(homes.home()?.join(".gemini/settings.json")),
        project_file: Some(".gemini/settings.json"),
    },
];

impl Client {
    /// The client of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CLIENTS.iter().find(|client| client.name == name)
    }

    /// Its configuration file, the user's or that of the project.
    ///
    /// # Errors
    /// When it has none.
    pub fn file(&self, homes: &Homes, of_project: bool) -> Result<PathBuf, InstallError> {
        let path = if of_project {
            let name = self.project_file.ok_or(InstallError::NoProjectFile(self.title))?;
            homes.project.join(name)
        } else {
            (self.file)(homes).ok_or(InstallError::NoHome(self.title))?
        };
        // opencode reads both spellings: the one that is there is the one its user edits.
        let commented = path.with_extension("jsonc");
        Ok(if self.form == Form::Mcp && commented.exists() { commented } else { path })
    }

    /// Whether it seems to be on this machine: its file, the file's own folder, or its program.
    pub fn is_found(&self, homes: &Homes) -> bool {
        let has_files = (self.file)(homes).is_some_and(|path| {
            let shared = path.parent() == homes.home().as_deref();
            path.exists() || (!shared && path.parent().is_some_and(Path::exists))
        });
        has_files || self.program.is_some_and(|program| homes.has_program(program))
    }

    /// Whether our entry is in its user's file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_set_up(&self, homes: &Homes) -> Result<bool, InstallError> {
        let path = self.file(homes, false)?;
        let Some(text) = file::read(&path)? else { return Ok(false) };
        let found = match self.form {
            Form::Toml => toml::has_entry(&text),
            form => json::has_entry(&text, form),
        };
        found.map_err(|unfit| unfit.of(path))
    }

    /// The text of the client's file `path` with our entry in it; the same text if it is there already.
    ///
    /// # Errors
    /// When the text is not what the client's file must be.
    pub fn with_entry(&self, text: &str, entry: &Entry, path: &Path) -> Result<String, InstallError> {
        let edited = match self.form {
            Form::Toml => toml::with_entry(text, entry),
            form => json::with_entry(text, form, entry),
        };
        edited.map_err(|unfit: Unfit| unfit.of(path.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_a_file_in_the_home_it_is_told() {
        let homes = Homes { env: [("HOME".to_owned(), "/home/ada".into())].into(), project: "/src/shop".into() };
        for client in &CLIENTS {
            let path = client.file(&homes, false).unwrap();
            assert!(path.starts_with("/home/ada"), "{path:?}");
            match client.file(&homes, true) {
                Ok(path) => assert!(path.starts_with("/src/shop"), "{path:?}"),
                Err(error) => assert_eq!(client.name, "claude-desktop", "{error}"),
            }
            assert!(client.file(&Homes::default(), false).is_err());
        }
        let moved = Homes { env: [("CODEX_HOME".to_owned(), "/opt/codex".into())].into(), ..homes };
        assert_eq!(Client::named("codex").unwrap().file(&moved, false).unwrap(), Path::new("/opt/codex/config.toml"));
    }
}
