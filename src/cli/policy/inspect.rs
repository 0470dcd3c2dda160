//! `issuecommand policy inspect`: what a component is.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use issuecommand::authoring::{PolicyKind, Specimen, settings_schema, signed_by};
use issuecommand::config::BUILTIN_PREFIX;
use issuecommand::policy::{Setting, builtin_component, builtin_names, settings_listed};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::super::table::{Table, long, text};
use super::signer::SignerArgs;
use super::{Chosen, Target, host, short, size};

#[derive(Debug, Args)]
#[command(
    after_help = "FILE may be builtin:rules, builtin:conflict-aware, builtin:lease-timeouts or builtin:allow-list."
)]
pub struct InspectArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    signer: SignerArgs,
    /// Print the result as JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let (subject, _kept) = subject(&args.target)?;
    let Subject { chosen, name } = &subject;
    let specimen = Specimen::read(&chosen.file)?;
    let fit = specimen.is_policy();
    let mut schemas: Vec<(PolicyKind, Value)> = Vec::new();
    if fit.is_ok() {
        let host = host()?;
        for kind in specimen.kinds() {
            let text = settings_schema(&host, kind, &chosen.file)?;
            schemas.push((kind, serde_json::from_str(&text).unwrap_or(Value::String(text))));
        }
    }
    let told = told(&specimen, chosen);
    let component = std::fs::read(&chosen.file).with_context(|| format!("failed to read {}", chosen.file.display()))?;
    let signed_by = signed_by(&chosen.file, &component, args.signer.signer().as_ref(), Path::new(""))?;
    if args.json {
        let schemas: serde_json::Map<_, _> =
            schemas.into_iter().map(|(kind, it)| (kind.key().to_owned(), it)).collect();
        let kinds: Vec<&str> = specimen.kinds().into_iter().map(PolicyKind::key).collect();
        let all = json!({
            "file": name, "kinds": kinds, "package_versions": specimen.package_versions(),
            "sha256": specimen.sha256, "bytes": specimen.bytes, "imports": specimen.imports,
            "exports": specimen.exports, "annotations": told, "signed_by": signed_by, "settings_schemas": schemas,
            "problem": fit.err(),
        });
        say!("{all}");
        return Ok(ExitCode::SUCCESS);
    }
    print(&specimen, name, &told, &signed_by, &schemas, fit);
    Ok(ExitCode::SUCCESS)
}

/// What is inspected.
struct Subject {
    chosen: Chosen,
    /// What it is called: the path of its file, or `builtin:` and a name.
    name: String,
}

/// The component that is meant; one that comes with the server is in a file for as long as the other value lives.
fn subject(target: &Target) -> anyhow::Result<(Subject, Option<NamedTempFile>)> {
    let Some(name) = target.path.to_str().and_then(|path| path.strip_prefix(BUILTIN_PREFIX)) else {
        let chosen = target.choose()?;
        let name = chosen.file.display().to_string();
        return Ok((Subject { chosen, name }, None));
    };
    let Some(component) = builtin_component(name) else {
        bail!("there is no built-in policy {name:?}: there are {}", builtin_names().join(", "));
    };
    let file = NamedTempFile::new().context("failed to make a temporary file")?;
    std::fs::write(file.path(), component).with_context(|| format!("failed to write {}", file.path().display()))?;
    let chosen = Chosen { file: file.path().to_path_buf(), settings: serde_json::Map::new(), project: None };
    Ok((Subject { chosen, name: format!("{BUILTIN_PREFIX}{name}") }, Some(file)))
}

/// What is told of the policy: in the component, and in its folder.
fn told(specimen: &Specimen, chosen: &Chosen) -> std::collections::BTreeMap<String, String> {
    let mut told = chosen.project.as_ref().map(|project| project.about.annotations()).unwrap_or_default();
    let own = specimen.annotations.iter();
    told.extend(own.map(|(name, text)| (format!("org.opencontainers.image.{name}"), text.clone())));
    told
}

fn print(
    specimen: &Specimen,
    name: &str,
    told: &std::collections::BTreeMap<String, String>,
    signed_by: &[String],
    schemas: &[(PolicyKind, Value)],
    fit: Result<(), String>,
) {
    let kinds: Vec<String> = specimen.kinds().iter().map(ToString::to_string).collect();
    let mut facts = Table::of_facts();
    facts.row(["file", &short(Path::new(name))]);
    facts.row(["kind", &if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }]);
    facts.row(["package", &format!("issuecommand:policy@{}", specimen.package_versions().join(", "))]);
    facts.row(["size", &size(specimen.bytes)]);
    facts.row(["sha256", &specimen.sha256]);
    for signer in signed_by {
        facts.row(["signed by", signer]);
    }
    for (name, text) in told {
        facts.row([name.trim_start_matches("org.opencontainers.image."), text]);
    }
    for (interface, functions) in specimen.imports.iter().filter(|(_, functions)| !functions.is_empty()) {
        facts.row(["imports", &format!("{interface} ({})", functions.join(", "))]);
    }
    for interface in &specimen.exports {
        facts.row(["exports", interface]);
    }
    facts.print();
    if let Err(why) = fit {
        say!("A server would not take it: {why}");
    }
    for (kind, schema) in schemas {
        say!("\nSettings, below [policies.{}.settings]:", kind.key());
        let mut table = Table::of([text("key"), text("type"), text("default"), long("what")]);
        for Setting { key, kind, default, what } in settings_listed(schema) {
            table.row([key, kind, default, what]);
        }
        table.print();
    }
}
