//! Whose fault a failure is: where the provider of a model refused, another model may do better.

/// Words of a refusal by the provider, where no status is told; lower case.
const WORDS: [&str; 18] = [
    "rate limit",
    "rate_limit",
    "ratelimit",
    "too many requests",
    "quota",
    "usage limit",
    "credit balance",
    "insufficient_funds",
    "billing",
    "overloaded",
    "unauthorized",
    "authentication",
    "api key",
    "model_not_found",
    "model not found",
    "server_error",
    "internal server error",
    "service unavailable",
];

/// Whether an answer with this status is a refusal by the provider: not let in, nothing left, no such model, or
/// broken. What it calls a bad request, every other would.
pub fn is_of_provider(status: u64) -> bool {
    matches!(status, 401..=404 | 408 | 429 | 500..=599)
}

/// The same for what was said, where the status is at best within the words.
pub fn sounds_of_provider(said: &str) -> bool {
    let said = said.to_lowercase();
    let status_said = numbers(&said).any(is_of_provider);
    status_said || WORDS.iter().any(|word| said.contains(word))
}

/// Numbers of three digits that stand alone in a text.
fn numbers(text: &str) -> impl Iterator<Item = u64> + '_ {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.len() == 3).filter_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_refuses_by_status_or_by_words() {
        for said in
            ["429 scripted", "exceeded retry limit, last status: 429 Too Many Requests", "You hit your usage limit"]
        {
            assert!(sounds_of_provider(said), "{said}");
        }
        assert!(is_of_provider(503) && is_of_provider(401));
    }

    #[test]
    fn a_bad_request_and_a_failed_command_are_not_the_providers() {
        for said in ["scripted 400", "the tests failed: 3 of 4290", "line 12503 is wrong"] {
            assert!(!sounds_of_provider(said), "{said}");
        }
        assert!(!is_of_provider(400) && !is_of_provider(200));
    }
}
