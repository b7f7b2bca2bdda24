//! `tasks`: commands on single tasks, and on all tasks that match.
