//! A new policy's folder: one that builds, passes its own test, and says what to do next.

use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use toml_edit::DocumentMut;

use super::project::name_is_fit;
use super::{AuthoringError, Language, PolicyKind, Project};

/// What each language's folder begins with, and what all have.
static TEMPLATES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/authoring/templates");
/// The SDK's sources, as this server's own policies are written with it.
static SDK: Dir<'static> = include_dir!("$OUT_DIR/embedded/sdk/src");
const SDK_MANIFEST: &str = include_str!(concat!(env!("OUT_DIR"), "/embedded/sdk/Cargo.toml.in"));
const WORKSPACE_MANIFEST: &str = include_str!(concat!(env!("OUT_DIR"), "/embedded/workspace.toml"));
/// What policies import and export.
const WIT: &str = include_str!("../../wit/issuecommand-policy-0.1.0/package.wit");
/// What this build of the server is written of: the SDK in a folder goes with one WIT package.
const WIT_PATH: &str = "wit/issuecommand-policy-0.1.0/package.wit";

/// Files of templates that are no part of the folder: they are used in making it or in building it.
const ASIDE: [&str; 3] = ["notes.md", "cases.md", "build.mjs"];

/// Makes the folder `folder`, named for the policy, with everything to build it. Returns the project.
///
/// # Errors
/// [`AuthoringError::Project`] when the name does not fit, the folder is not empty or there is no template of this
/// kind in this language, [`AuthoringError::Io`] when it cannot be written.
pub fn scaffold(folder: &Path, language: Language, kind: PolicyKind) -> Result<Project, AuthoringError> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name_is_fit(name).map_err(AuthoringError::Project)?;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let why = format!("{} exists and is not empty: take another name, or remove it", folder.display());
        return Err(AuthoringError::Project(why));
    }
    if kind != PolicyKind::Ranker && language != Language::Rust {
        let why = format!("a {kind} is written in Rust: use --lang rust");
        return Err(AuthoringError::Project(why));
    }
    for (path, text) in files(name, language, kind)? {
        write(&folder.join(path), &text)?;
    }
    Project::open(folder)
}

fn files(name: &str, language: Language, kind: PolicyKind) -> Result<Vec<(PathBuf, String)>, AuthoringError> {
    let (own, of_kind) = (template(&language.to_string()), template(&format!("kinds/{}", kind.interface())));
    let [what, description, settings] = words(kind);
    let language_name = language.to_string();
    let known = [
        ("{{name}}", name),
        ("{{language}}", language_name.as_str()),
        ("{{key}}", kind.key()),
        ("{{what}}", what),
        ("{{description}}", description),
        ("{{settings}}", settings),
        ("{{notes}}", text_of(own, "notes.md")),
        ("{{cases}}\n", text_of(of_kind, "cases.md")),
    ];
    let filled = |text: &str| known.iter().fold(text.to_owned(), |text, (field, word)| text.replace(field, word));
    let mut files = vec![(WIT_PATH.into(), WIT.to_owned())];
    let code = (language == Language::Rust).then(|| template(&format!("rust-{}", kind.interface())));
    for dir in [template("any"), of_kind, own].into_iter().chain(code) {
        for (path, text) in texts(dir) {
            let path = path.strip_prefix(dir.path()).expect("files lie below their folder");
            if ASIDE.iter().all(|aside| path != Path::new(aside)) {
                files.push((final_path(path), filled(text)));
            }
        }
    }
    if language == Language::Rust {
        files.push(("sdk/Cargo.toml".into(), sdk_manifest()?));
        for (path, text) in texts(&SDK) {
            // The SDK finds the WIT package from its own folder, which lies elsewhere here.
            files.push((Path::new("sdk/src").join(path), text.replace("../../wit/", "../wit/")));
        }
    }
    Ok(files)
}

/// What a policy of a kind says, what is told of it to others, and a setting that its template takes.
fn words(kind: PolicyKind) -> [&'static str; 3] {
    match kind {
        PolicyKind::Ranker => ["which issue comes first", "Orders work for coding agents", "labels = { bug = 10.0 }"],
        PolicyKind::StaleRule => {
            ["how live claims are doing", "Says when a coding agent's claim has lapsed", "quiet_minutes = 90"]
        }
        PolicyKind::RepoFilter => {
            ["which repositories take part", "Says where coding agents may work", "topic = \"agents\""]
        }
    }
}

fn template(name: &str) -> &'static Dir<'static> {
    TEMPLATES.get_dir(name).expect("each language and each kind has a template")
}

fn text_of(dir: &'static Dir<'static>, name: &str) -> &'static str {
    dir.get_file(dir.path().join(name)).and_then(|file| file.contents_utf8()).unwrap_or_default()
}

/// All files of a folder and of those in it.
fn texts(dir: &'static Dir<'static>) -> Vec<(&'static Path, &'static str)> {
    let own = dir.files().map(|file| (file.path(), file.contents_utf8().expect("templates are texts")));
    own.chain(dir.dirs().flat_map(texts)).collect()
}

/// `.in` keeps a template's file from being taken for the real thing where it lies.
fn final_path(path: &Path) -> PathBuf {
    let path = if path.extension().is_some_and(|extension| extension == "in") {
        path.with_extension("")
    } else {
        path.to_path_buf()
    };
    if path == Path::new("gitignore") { ".gitignore".into() } else { path }
}

/// The SDK's manifest outside our workspace: what it inherits there stands in it.
fn sdk_manifest() -> Result<String, AuthoringError> {
    let read = |text: &str| {
        text.parse::<DocumentMut>().map_err(|error| AuthoringError::Project(format!("the SDK's manifest: {error}")))
    };
    let (mut manifest, workspace) = (read(SDK_MANIFEST)?, read(WORKSPACE_MANIFEST)?);
    let inherited = &workspace["workspace"]["package"];
    let package = manifest["package"].as_table_mut().expect("a manifest has a package");
    for (key, value) in package.iter_mut() {
        if value.get("workspace").is_some() {
            *value = inherited[key.get()].clone();
        }
    }
    package.set_dotted(false);
    manifest.remove("lints");
    Ok(manifest.to_string())
}

fn write(path: &Path, text: &str) -> Result<(), AuthoringError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(AuthoringError::io("make", folder))?;
    }
    fs::write(path, text).map_err(AuthoringError::io("write", path))
}

/// The program that makes components of JavaScript modules.
pub(super) fn js_build_program() -> &'static str {
    template("js").get_file("js/build.mjs").and_then(|file| file.contents_utf8()).expect("the template has it")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LANGUAGES: [Language; 4] = [Language::Rust, Language::Js, Language::Python, Language::C];

    #[test]
    fn a_new_folder_describes_itself_and_leaves_nothing_to_fill_in() {
        let others = [PolicyKind::StaleRule, PolicyKind::RepoFilter].map(|kind| (Language::Rust, kind));
        for (language, kind) in LANGUAGES.map(|language| (language, PolicyKind::Ranker)).into_iter().chain(others) {
            let root = tempfile::tempdir().unwrap();
            let project = scaffold(&root.path().join("quick-wins"), language, kind).unwrap();
            assert_eq!((project.name.as_str(), project.language), ("quick-wins", language));
            for file in ["README.md", "golden.toml", ".gitignore", "policy.toml", WIT_PATH] {
                let text = fs::read_to_string(project.folder.join(file)).unwrap();
                assert!(!text.contains("{{"), "{language} {kind} {file}: {text}");
            }
            let readme = fs::read_to_string(project.folder.join("README.md")).unwrap();
            assert!(
                readme.contains(&format!("[policies.{}]", kind.key())) && readme.contains("| `expect` |"),
                "{readme}"
            );
            assert!(ASIDE.iter().all(|aside| !project.folder.join(aside).exists()));
            assert_eq!(project.folder.join("src/lib.rs").exists(), language == Language::Rust);
        }
    }

    #[test]
    fn a_kind_without_a_template_in_a_language_is_told_which_has_one() {
        let root = tempfile::tempdir().unwrap();
        let error = scaffold(&root.path().join("mine"), Language::C, PolicyKind::StaleRule).unwrap_err().to_string();
        assert!(error.contains("--lang rust"), "{error}");
        assert!(!root.path().join("mine").exists());
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("mine");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("policy.py"), "precious").unwrap();
        let error = scaffold(&folder, Language::Python, PolicyKind::Ranker).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
        assert_eq!(fs::read_to_string(folder.join("policy.py")).unwrap(), "precious");
    }

    #[test]
    fn the_sdk_stands_on_its_own_outside_our_workspace() {
        let manifest = sdk_manifest().unwrap();
        assert!(!manifest.contains("workspace"), "{manifest}");
        assert!(manifest.contains("edition = \"2024\"") && manifest.contains("wit-bindgen"), "{manifest}");
        let wit = files("a", Language::Rust, PolicyKind::Ranker)
            .unwrap()
            .into_iter()
            .find(|(path, _)| path.ends_with("src/wit.rs"));
        assert!(wit.unwrap().1.contains("path: \"../wit/issuecommand-policy-0.1.0\""));
    }
}
