//! What the tests of dispatch stand on: agents, a scripted model, git over HTTP.
