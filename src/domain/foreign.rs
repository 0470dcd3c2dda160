//! Texts that others wrote: people on GitHub, and agents. They are data wherever they go.

/// What stands where a text was cut.
const CUT: &str = " [cut here]";

/// A text without what cannot be seen, at most `bytes_max` long: control characters, marks that turn the direction of
/// writing, and characters that hide words from a person who reads the same text.
pub fn clean(text: &str, bytes_max: usize) -> String {
    let mut clean: String = text.replace("\r\n", "\n").chars().filter(|c| is_visible(*c)).collect();
    if clean.len() > bytes_max {
        clean.truncate(clean.floor_char_boundary(bytes_max.saturating_sub(CUT.len())));
        clean.push_str(CUT);
    }
    clean
}

/// The same in one line.
pub fn clean_line(text: &str, bytes_max: usize) -> String {
    clean(&text.split_whitespace().collect::<Vec<_>>().join(" "), bytes_max)
}

/// A text as one line that steers no terminal: what cannot be seen is a space.
pub fn in_one_line(text: &str) -> String {
    let shown = |c: char| if is_visible(c) && !matches!(c, '\n' | '\t') { c } else { ' ' };
    text.chars().map(shown).collect()
}

/// Whether a reader sees a character, or where a line or a column ends.
pub fn is_visible(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        // Zero-width spaces and marks of direction; joiners stay, scripts and emoji need them.
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => false,
        // Tags: a whole alphabet that nobody sees.
        '\u{e0000}'..='\u{e007f}' => false,
        c => !c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_gone_and_the_rest_stays() {
        assert_eq!(clean("a\u{1b}[31m\r\nb\tc\u{202e}d\u{e0041}e\u{200b}f", 100), "a[31m\nb\tcdef");
        assert_eq!(clean("äöü 日本 👩\u{200d}👧", 100), "äöü 日本 👩\u{200d}👧");
        assert_eq!(clean_line(" a\n\n b\tc ", 100), "a b c");
        assert_eq!(in_one_line("a\u{1b}[2Jb\nc\u{202e}d\te"), "a [2Jb c d e");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let cut = clean(&"ü".repeat(100), 40);
        assert!(cut.len() <= 40 && cut.ends_with("ü [cut here]"), "{cut}");
        assert_eq!(clean("short", 5), "short");
    }
}
