//! The reference of the policies' interface, from the WIT package itself.

use std::fmt::Write;

use crate::documents::{cell, hold_reference};

const PACKAGE: &str = include_str!("../../../../wit/issuecommand-policy-0.1.0/package.wit");

const HEAD: &str = "\
# What a policy is

The interfaces of `issuecommand:policy@0.1.0`, as [the WIT package](../../wit/issuecommand-policy-0.1.0/package.wit) has them.
[For authors of policies](../policies.md) begins with an example.

";

/// What stands before an item in the package, and the item's own line.
struct Item<'t> {
    words: Vec<&'t str>,
    line: &'t str,
}

fn items() -> Vec<Item<'static>> {
    let (mut items, mut words) = (Vec::new(), Vec::new());
    for line in PACKAGE.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("///") {
            Some(word) => words.push(word.strip_prefix(' ').unwrap_or(word)),
            None => items.push(Item { words: std::mem::take(&mut words), line }),
        }
    }
    items
}

impl Item<'_> {
    /// With its paragraphs and lists.
    fn paragraphs(&self) -> String {
        self.words.join("\n")
    }

    fn in_one_line(&self) -> String {
        cell(&self.words.join(" ").split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn rendered() -> String {
    let mut page = HEAD.to_owned();
    let (mut in_table, mut in_type) = (false, false);
    for item in items() {
        let line = item.line.trim_end_matches(['{', ';', ',']).trim();
        let head = line.split_once(' ').map_or(line, |(word, _)| word);
        if item.line == "}" {
            in_type = false;
            continue;
        }
        match head {
            "package" => writeln!(page, "{}", item.paragraphs()).unwrap(),
            "interface" | "world" => {
                write!(page, "\n## {line}\n\n{}\n\n", item.paragraphs()).unwrap();
                in_table = false;
            }
            "use" => {}
            _ => {
                if !std::mem::replace(&mut in_table, true) {
                    page.push_str("| item | meaning |\n|---|---|\n");
                }
                let indent = if in_type { "&nbsp;&nbsp;" } else { "" };
                writeln!(page, "| {indent}`{line}` | {} |", item.in_one_line()).unwrap();
                in_type |= item.line.ends_with('{');
            }
        }
    }
    page
}

#[test]
fn the_reference_of_what_a_policy_is_is_the_package() {
    let page = rendered();
    let functions = PACKAGE.lines().filter_map(|line| line.trim().split_once(": func(")).map(|(name, _)| name);
    for name in functions {
        assert!(page.contains(&format!("`{name}: func(")), "{name}");
    }
    hold_reference("docs/reference/wit.md", &page);
}
