//! Coding agents, each through a turn with the scripted model.
