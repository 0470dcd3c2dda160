//! CODEOWNERS: whose review a change needs, by GitHub's rules: the last line that matches a file decides.

use std::collections::BTreeSet;
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::WORD_PREFIX;

/// Where GitHub looks for the file, in its order: the first that exists counts.
pub const OWNERS_FILE_PATHS: [&str; 3] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];

/// Largest file that GitHub reads, in bytes (its documentation: under 3 MB).
const FILE_BYTES_MAX: usize = 3 << 20;
/// Most rules that are read.
const RULE_COUNT_MAX: usize = 4_096;
/// Most reviewers of one issue.
const REVIEWER_COUNT_MAX: usize = 16;

/// The rules of one file.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    patterns: GlobSet,
    /// For each pattern, the rule that it belongs to.
    rule_of: Vec<usize>,
    owners: Vec<Vec<Arc<str>>>,
}

impl Owners {
    /// Reads a file. Lines that GitHub would not accept are left out, as GitHub does.
    pub fn parse(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(FILE_BYTES_MAX)];
        let (mut patterns, mut rule_of, mut owners) = (GlobSetBuilder::new(), Vec::new(), Vec::new());
        for line in text.lines() {
            let Some((pattern, named)) = rule(line) else { continue };
            let globs: Option<Vec<_>> = globs(&pattern).iter().map(|glob| build(glob)).collect();
            let Some(globs) = globs else { continue };
            for glob in globs {
                patterns.add(glob);
                rule_of.push(owners.len());
            }
            owners.push(named);
            if owners.len() == RULE_COUNT_MAX {
                break;
            }
        }
        Self { patterns: patterns.build().unwrap_or_default(), rule_of, owners }
    }

    /// Whether it names nobody at all.
    pub fn is_empty(&self) -> bool {
        self.owners.iter().all(Vec::is_empty)
    }

    /// Whose review a change in these areas needs: logins, and teams as `org/team`, in the order of the areas,
    /// each once; bounded. A folder counts as a file in it.
    pub fn reviewers(&self, areas: &[Arc<str>]) -> Vec<Arc<str>> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        for area in areas.iter().filter(|area| !area.starts_with(WORD_PREFIX)) {
            let file = if area.ends_with('/') { format!("{area}any") } else { area.to_string() };
            for owner in self.of_file(&file) {
                if found.len() < REVIEWER_COUNT_MAX && seen.insert(owner.to_lowercase()) {
                    found.push(Arc::clone(owner));
                }
            }
        }
        found
    }

    fn of_file(&self, file: &str) -> &[Arc<str>] {
        let last = self.patterns.matches(file).into_iter().map(|pattern| self.rule_of[pattern]).max();
        last.map_or(&[], |rule| &self.owners[rule])
    }
}

/// The pattern and the owners of a line; a rule without owners takes files out of those before it.
fn rule(line: &str) -> Option<(String, Vec<Arc<str>>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    // A blank within a pattern is written `\ `.
    let line = line.replace("\\ ", "\u{0}");
    let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
    let pattern = words.next()?.replace('\u{0}', " ");
    // GitHub's documentation: negation and ranges do not work in this file.
    if pattern.starts_with('!') || pattern.contains('[') {
        return None;
    }
    // Owners by mail address are no logins that anything here knows.
    let owners = words.filter_map(|word| word.strip_prefix('@')).filter(|owner| !owner.is_empty());
    Some((pattern, owners.map(Arc::from).collect()))
}

/// The globs of a pattern, by the rules of gitignore as CODEOWNERS uses them.
fn globs(pattern: &str) -> Vec<String> {
    let plain: String = pattern.chars().flat_map(escaped).collect();
    let (path, is_folder) = match plain.strip_suffix('/') {
        Some(path) => (path.to_owned(), true),
        None => (plain, false),
    };
    // A slash before the end ties a pattern to the root.
    let tied = path.contains('/');
    let path = path.strip_prefix('/').unwrap_or(&path);
    let rooted = if tied || path.starts_with("**") { path.to_owned() } else { format!("**/{path}") };
    let below = format!("{rooted}/**");
    // `docs/*` names the files in `docs` and not what lies deeper; `*` alone names everything.
    let only_files = tied && path.ends_with("/*");
    match (is_folder, only_files) {
        (true, _) => vec![below],
        (false, true) => vec![rooted],
        (false, false) => vec![rooted, below],
    }
}

/// Signs that mean something to a glob and nothing to CODEOWNERS.
fn escaped(c: char) -> impl Iterator<Item = char> {
    matches!(c, '{' | '}').then_some('\\').into_iter().chain([c])
}

fn build(glob: &str) -> Option<globset::Glob> {
    GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owners_of(text: &str, file: &str) -> Vec<String> {
        Owners::parse(text).reviewers(&[file.into()]).iter().map(ToString::to_string).collect()
    }

    /// The example of GitHub's documentation ("About code owners"), with what it says of each line.
    const EXAMPLE: &str = "\
*       @global-owner1 @global-owner2
*.js    @js-owner #This is an inline comment.
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/* @docs-owner
apps/ @octocat
/docs/ @doctocat
/scripts/ @doctocat @octocat
**/logs @logger
/apps/ @octocat
/apps/github
";

    #[test]
    fn githubs_example_is_read_as_github_says() {
        for (file, expected) in [
            ("main.c", vec!["global-owner1", "global-owner2"]),
            ("web/app.js", vec!["js-owner"]),
            ("a.go", vec![]),
            ("notes/a.txt", vec!["octo-org/octocats"]),
            ("build/logs/deep/x.log", vec!["logger"]),
            ("docs/getting-started.md", vec!["doctocat"]),
            ("docs/build-app/troubleshooting.md", vec!["doctocat"]),
            ("src/apps/x.c", vec!["octocat"]),
            ("apps/x.c", vec!["octocat"]),
            ("apps/github/x.c", vec![]),
            ("deploy/logs/x", vec!["logger"]),
            ("scripts/", vec!["doctocat", "octocat"]),
        ] {
            assert_eq!(owners_of(EXAMPLE, file), expected, "{file}");
        }
        assert_eq!(owners_of("docs/* @d", "docs/a.md"), ["d"]);
        assert_eq!(owners_of("docs/* @d", "docs/deep/a.md"), Vec::<String>::new());
    }

    #[test]
    fn lines_that_github_refuses_are_left_out() {
        let text = "!src/ @a\n[ab].c @b\n# src/ @c\nsrc/my\\ file.c @d\n";
        assert_eq!(owners_of(text, "src/a.c"), Vec::<String>::new());
        assert_eq!(owners_of(text, "src/my file.c"), ["d"]);
        assert!(Owners::parse("src/ someone@example.org").is_empty());
    }

    #[test]
    fn words_are_nobodys_and_each_reviewer_is_named_once() {
        let owners = Owners::parse("/src/ @Ann @bob\n/lib/ @ann @eve\n");
        let areas: Vec<Arc<str>> = vec!["word:src".into(), "src/a.c".into(), "lib/".into()];
        assert_eq!(owners.reviewers(&areas), ["Ann".into(), "bob".into(), "eve".into()] as [Arc<str>; 3]);
    }

    proptest! {
        #[test]
        fn any_file_is_read_and_any_path_asked(text in "\\PC{0,200}|([a-z*/.!\\[\\\\{}]{1,12} @[a-z]{1,4}\n){0,9}", file in "[a-z/.]{1,30}") {
            let found = Owners::parse(&text).reviewers(&[file.as_str().into()]);
            prop_assert!(found.len() <= REVIEWER_COUNT_MAX);
        }
    }
}
