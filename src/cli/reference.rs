//! The reference of commands, and the commands of the documents, held to the command line as it is.

use std::fmt::Write;

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command, CommandFactory, Parser};

use super::Cli;
use super::documents::{Block, cell, hold_reference, pages};

const HEAD: &str = "\
# Commands

What `--help` says, of all commands. [Exit codes](#issuecommand) are those of the first. Every command that asks a server
finds it by the database of `issuecommand.toml`, or takes `--url`.

";

fn rendered() -> String {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut page = HEAD.to_owned();
    section(&mut page, &root, "");
    page
}

/// One command, then those below it.
fn section(page: &mut String, command: &Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    let name = name.trim();
    let about = command.get_long_about().or(command.get_about()).map(StyledStr::to_string).unwrap_or_default();
    write!(page, "## `{name}`\n\n{}\n\n", in_markdown(&about)).unwrap();
    let usage = command.clone().render_usage().to_string();
    write!(page, "```text\n{}\n```\n\n", usage.trim_start_matches("Usage: ").trim()).unwrap();
    let rows: String = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(row).collect();
    if !rows.is_empty() {
        write!(page, "| argument | meaning |\n|---|---|\n{rows}\n").unwrap();
    }
    if let Some(after) = command.get_after_help() {
        write!(page, "```text\n{}\n```\n\n", after.to_string().trim()).unwrap();
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        section(page, below, name);
    }
    *page = format!("{}\n\n", page.trim_end());
}

/// A line of the table; `--help` and `--version` are everywhere.
fn row(arg: &Arg) -> Option<String> {
    if ["help", "version"].contains(&arg.get_id().as_str()) {
        return None;
    }
    let values = arg.get_value_names().unwrap_or_default().iter().map(|name| name.as_str());
    let values = values.collect::<Vec<_>>().join(" ");
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let shown = match arg.get_long() {
        Some(long) if takes => format!("{short}--{long} {values}"),
        Some(long) => format!("{short}--{long}"),
        None => values,
    };
    let help = arg.get_long_help().or(arg.get_help()).map(StyledStr::to_string).unwrap_or_default();
    let choices = arg.get_possible_values();
    let mut meaning = in_markdown(&help);
    if takes && !choices.is_empty() {
        let choices = choices.iter().map(|choice| format!("`{}`", choice.get_name())).collect::<Vec<_>>();
        write!(meaning, ": {}", choices.join(", ")).unwrap();
    }
    let default = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>();
    if takes && !default.is_empty() {
        write!(meaning, " [default: {}]", default.join(" ")).unwrap();
    }
    Some(format!("| `{shown}` | {} |\n", cell(&meaning)))
}

/// Help is plain text: what Markdown would take for its own is escaped.
fn in_markdown(text: &str) -> String {
    text.replace('<', "\\<").replace('*', "\\*")
}

#[test]
fn the_reference_of_commands_is_what_the_command_line_takes() {
    hold_reference("docs/reference/cli.md", &format!("{}\n", rendered().trim_end()));
}

/// The commands of a shell's text, each as its words: what stands between `|`, `&&`, `;`, `$(` and line ends.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let text = without_heredocs(&text.replace("\\\n", " "));
    let (mut word, mut quote, mut is_word) = (String::new(), None, false);
    let mut signs = text.chars().chain(['\n']).peekable();
    while let Some(sign) = signs.next() {
        match (quote, sign) {
            (Some(open), _) if sign == open => quote = None,
            (Some(_), _) => word.push(sign),
            (None, '\'' | '"') => (quote, is_word) = (Some(sign), true),
            (None, '#') if !is_word => while signs.next_if(|next| *next != '\n').is_some() {},
            (None, ' ' | '\t' | '\n' | '|' | ';' | '&' | '(' | ')' | '<' | '>') => {
                if std::mem::take(&mut is_word) {
                    commands.last_mut().unwrap().push(std::mem::take(&mut word));
                }
                if sign != ' ' && sign != '\t' {
                    commands.push(Vec::new());
                }
            }
            (None, _) => (_, is_word) = (word.push(sign), true),
        }
    }
    commands.retain(|words| !words.is_empty());
    commands
}

/// Without the lines that a command reads, as those between `<<'END'` and `END`.
fn without_heredocs(text: &str) -> String {
    let mut kept = String::new();
    let mut is_inside = false;
    for line in text.lines() {
        if !is_inside {
            kept.extend([line, "\n"]);
        }
        is_inside = (is_inside && line != "END") || line.ends_with("<<'END'");
    }
    kept
}

/// The words of a call of this program, its own name first; variables that are set for it stand before.
fn ours(words: &[String]) -> Option<Vec<String>> {
    let is_variable = |word: &&String| {
        word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    };
    let words: Vec<String> = words.iter().skip_while(is_variable).map(|word| filled_in(word)).collect();
    match words.first().map(String::as_str) {
        Some("issuecommand") => Some(words),
        Some("cargo") if words[1..].starts_with(&["run".into(), "--".into()]) => Some(words[2..].to_vec()),
        _ => None,
    }
}

/// A word with something in the place of what the reader is to fill in.
fn filled_in(word: &str) -> String {
    word.replace("REPO#N", "REPO#1").replace("$ID", "01a1fcbe-4c87-73ec-a443-ac97a93b60d6").replace("...", "x")
}

#[test]
fn every_command_of_the_documents_is_one_that_the_command_line_takes() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for block in pages().iter().flat_map(|page| page.blocks()).filter(Block::is_commands) {
        for words in commands(&block.typed()).iter().filter_map(|words| ours(words)) {
            count += 1;
            if let Err(error) = Cli::try_parse_from(&words)
                && error.use_stderr()
            {
                wrong.push(format!("{}: {}: {error}", block.place, words.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "only {count} commands were found");
}

/// In prose arguments may be left out: the command and its options must be there.
#[test]
fn every_command_that_prose_names_is_one_with_these_options() {
    let mut root = Cli::command();
    root.build();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages() {
        for code in page.prose().split('`').skip(1).step_by(2).filter(|code| code.starts_with("issuecommand ")) {
            count += 1;
            let words: Vec<&str> = code.split_whitespace().skip(1).collect();
            let mut command = &root;
            let depth =
                words.iter().take_while(|word| command.find_subcommand(word).inspect(|it| command = it).is_some());
            let depth = depth.count();
            let knows = |word: &&str| {
                let name = word.trim_start_matches("--").split(['=', ',']).next();
                command.get_arguments().any(|arg| arg.get_long() == name) || ["--help", "--version"].contains(word)
            };
            let options = words[depth..].iter().filter(|word| word.starts_with("--")).all(knows);
            if (depth == 0 && words.first().is_some_and(|word| !word.starts_with('-'))) || !options {
                wrong.push(format!("{}: {code}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 20, "only {count} were found");
}

#[test]
fn commands_are_told_apart_as_a_shell_does() {
    let text = "A=1 issuecommand next --agent 'a b' # no | more\ncat > x <<'END'\nissuecommand fiction\nEND\nI=$(issuecommand claims | jq '.[]') && issuecommand \\\n health";
    let found: Vec<String> =
        commands(text).iter().filter_map(|words| ours(words)).map(|words| words.join(" ")).collect();
    assert_eq!(found, ["issuecommand next --agent a b", "issuecommand claims", "issuecommand health"]);
}

/// What goes on until it is ended, makes files, or prints a text for other programs anyway.
const WITHOUT_JSON: [&str; 12] = [
    "completions",
    "demo",
    "export",
    "image build",
    "man",
    "mcp",
    "mcp prompt",
    "policy new",
    "serve",
    "top",
    "watch",
    "worker",
];

/// The names of the commands below one, each with whether it takes --json.
fn all_below(command: &Command, parent: &str) -> Vec<(String, bool)> {
    let named = command.get_subcommands().map(|below| (format!("{parent} {}", below.get_name()), below));
    let all = named.flat_map(|(name, below)| {
        let takes_json = below.get_arguments().any(|arg| arg.get_long() == Some("json"));
        let itself = (!below.is_subcommand_required_set()).then(|| (name.trim().to_owned(), takes_json));
        itself.into_iter().chain(all_below(below, &name)).collect::<Vec<_>>()
    });
    all.collect()
}

#[test]
fn whatever_answers_takes_json() {
    let all = all_below(&Cli::command(), "");
    let mut lacking: Vec<&str> = all.iter().filter(|(_, takes)| !takes).map(|(name, _)| name.as_str()).collect();
    lacking.sort_unstable();
    assert_eq!(lacking, WITHOUT_JSON);
    assert!(all.len() > 40, "only {} commands were found", all.len());
}

/// The prompt is printed by the program, and stands in the guide for who writes agents.
#[test]
fn the_prompt_of_the_guide_is_the_one_that_is_printed() {
    let guide = pages().into_iter().find(|page| page.path == "docs/agents.md").unwrap();
    let shown = guide.blocks().into_iter().find(|block| block.language == "markdown").unwrap();
    assert_eq!(shown.text, super::mcp::PROMPT);
}
