//! The documents of the repository as tests read them: pages, their blocks of code, and what is made from the code.

use std::fs;
use std::path::Path;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a file made from the code begins with.
const MADE: &str = "<!-- Made from the code: UPDATE_REFERENCE=1 cargo test --bins --test server reference -->";
/// Asks the tests to write such files anew instead of comparing them.
const RENEW: &str = "UPDATE_REFERENCE";

/// One Markdown document.
#[derive(Debug)]
pub struct Page {
    /// Its path below the root of the repository.
    pub path: String,
    pub text: String,
}

/// A fenced block of code.
#[derive(Debug)]
pub struct Block {
    /// The page and line where it begins, as in `README.md:31`.
    pub place: String,
    pub language: String,
    pub text: String,
    /// The HTML comment right before it, which readers do not see.
    pub note: Option<String>,
}

/// What a test does with a block of commands.
#[derive(Debug, PartialEq, Eq)]
pub enum Way<'b> {
    /// Runs it.
    Run,
    /// Runs it beside what follows, once it has said this.
    UntilEnded(&'b str),
    /// Runs it while a review waits for an agent.
    WithReview,
    /// Leaves it alone, for this reason.
    NotRun(&'b str),
}

/// Every document that a person may read: those at the root, and all below `docs`, `examples` and `policies`.
pub fn pages() -> Vec<Page> {
    let mut paths: Vec<String> = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned).into();
    for folder in ["docs", "examples", "policies"] {
        collect(&Path::new(ROOT).join(folder), &mut paths);
    }
    paths.sort();
    let read = |path: String| Page { text: fs::read_to_string(Path::new(ROOT).join(&path)).unwrap(), path };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        // Nothing that was built or fetched beside them is ours.
        let is_foreign = ["target", "node_modules", "sdk"].contains(&name.as_str());
        if entry.file_type().unwrap().is_dir() && !is_foreign {
            collect(&path, paths);
        } else if name.ends_with(".md") {
            paths.push(path.strip_prefix(ROOT).unwrap().display().to_string());
        }
    }
}

impl Page {
    /// Its blocks of code, in their order.
    pub fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
        let mut note: Option<&str> = None;
        for (number, line) in self.text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => block.text.extend([line, "\n"]),
                (None, Some(language)) => {
                    let place = format!("{}:{}", self.path, number + 1);
                    open = Some(Block {
                        place,
                        language: language.into(),
                        text: String::new(),
                        note: note.take().map(str::to_owned),
                    });
                }
                (None, None) => note = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")),
            }
        }
        assert!(open.is_none(), "{}: a block of code is not closed", self.path);
        blocks
    }

    /// Its text without blocks of code.
    pub fn prose(&self) -> String {
        let mut is_code = false;
        let mut keep = |line: &&str| {
            let is_fence = line.starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        };
        self.text.lines().filter(|line| keep(line)).map(|line| format!("{line}\n")).collect()
    }
}

impl Block {
    /// Whether a person would type it into a shell.
    pub fn is_commands(&self) -> bool {
        ["sh", "bash", "shell", "console"].contains(&self.language.as_str())
    }

    /// What a test does with it.
    pub fn way(&self) -> Way<'_> {
        let Some(note) = &self.note else { return Way::Run };
        if let Some(reason) = note.strip_prefix("not run: ") {
            return Way::NotRun(reason);
        }
        if let Some(said) = note.strip_prefix("until Ctrl-C, when it has said: ") {
            return Way::UntilEnded(said);
        }
        assert_eq!(note, "while a review waits", "{}: this comment before commands means nothing", self.place);
        Way::WithReview
    }

    /// Its lines that are typed, where output stands between them too.
    pub fn typed(&self) -> String {
        match self.language.as_str() {
            "console" => self.text.lines().filter_map(|line| line.strip_prefix("$ ")).collect::<Vec<_>>().join("\n"),
            _ => self.text.clone(),
        }
    }
}

/// Compares a file that is made from the code with what the code says now, or writes it where that is asked for.
#[track_caller]
pub fn hold_reference(path: &str, rendered: &str) {
    let (file, rendered) = (Path::new(ROOT).join(path), format!("{MADE}\n{rendered}"));
    if std::env::var_os(RENEW).is_some() {
        return fs::write(file, rendered).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let renew = "renew it with: UPDATE_REFERENCE=1 cargo test --bins --test server reference";
    let pairs = kept.lines().zip(rendered.lines()).enumerate();
    for (number, (kept, now)) in pairs {
        assert_eq!(kept, now, "{path}:{} is not what the code says; {renew}", number + 1);
    }
    assert_eq!(kept.len(), rendered.len(), "{path} is not what the code says; {renew}");
}

/// A cell of a table.
pub fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('\n', " ")
}
