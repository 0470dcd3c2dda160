//! What the dispatcher does on GitHub, against the stand-in and against hand-made answers.
