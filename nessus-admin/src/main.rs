//! `nessus-admin`: the operator's command line for queues, tasks, scanners and exports.

mod args;
mod commands;
mod output;

use std::process::ExitCode;

use args::{
    ApprovalsCommand, AuditCommand, Cli, Command, ConfigCommand, HousekeepingCommand, PolicyCommand, QueueCommand,
    ScannersCommand, TasksCommand, TokenCommand, WebhooksCommand,
};
use nessus_mcp_lib::{
    config::cli::{self, block_on},
    error::Failure,
};

fn main() -> ExitCode {
    let cli: Cli = cli::parse();
    cli.check();
    output::exit_code(run(&cli.command))
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Convert(args) => commands::convert::run(args),
        Command::Validate(args) => commands::validate::run(args),
        Command::Summary(args) => commands::views::summary(args),
        Command::Diff(args) => commands::views::diff(args),
        Command::Stats(args) => block_on(commands::stats::run(args)),
        Command::Tasks(TasksCommand::List(args)) => block_on(commands::tasks::list::run(args)),
        Command::Tasks(TasksCommand::Show(args)) => block_on(commands::tasks::show::run(args)),
        Command::Tasks(TasksCommand::Cancel(args)) | Command::Cancel(args) => block_on(commands::tasks::cancel(args)),
        Command::Tasks(TasksCommand::Retry(args)) => block_on(commands::tasks::retry(args)),
        Command::Tasks(TasksCommand::Pause(args)) => block_on(commands::tasks::pause(args)),
        Command::Tasks(TasksCommand::Resume(args)) => block_on(commands::tasks::resume(args)),
        Command::StopAll(args) => block_on(commands::stop_all::run(args)),
        Command::InspectDlq(args) => block_on(commands::dead_letters::inspect(args)),
        Command::ListDlq(args) => block_on(commands::dead_letters::list(args)),
        Command::RetryDlq(args) => block_on(commands::dead_letters::retry(args)),
        Command::PurgeDlq(args) => block_on(commands::dead_letters::purge(args)),
        Command::Queue(QueueCommand::Rebind(args)) => block_on(commands::queue::rebind(args)),
        Command::Queue(QueueCommand::Audit(args)) => block_on(commands::queue_audit::run(args)),
        Command::Housekeeping(HousekeepingCommand::Run(args)) => block_on(commands::housekeeping::run(args)),
        Command::Policy(PolicyCommand::Check(args)) => block_on(commands::policy::check(args)),
        Command::Token(TokenCommand::New(args)) => block_on(commands::token::new(args)),
        Command::Token(TokenCommand::List(args)) => block_on(commands::token::list(args)),
        Command::Approvals(ApprovalsCommand::List(args)) => block_on(commands::approvals::list(args)),
        Command::Approvals(ApprovalsCommand::Show(args)) => block_on(commands::approvals::show(args)),
        Command::Approvals(ApprovalsCommand::Approve(args)) => block_on(commands::approvals::approve(args)),
        Command::Approvals(ApprovalsCommand::Deny(args)) => block_on(commands::approvals::deny(args)),
        Command::Webhooks(WebhooksCommand::List(args)) => block_on(commands::webhooks::list(args)),
        Command::Webhooks(WebhooksCommand::Test(args)) => block_on(commands::webhooks::test(args)),
        Command::Webhooks(WebhooksCommand::Retry(args)) => block_on(commands::webhooks::retry(args)),
        Command::Token(TokenCommand::Revoke(args)) => block_on(commands::token::revoke(args)),
        Command::Audit(AuditCommand::Verify(args)) => block_on(commands::audit::verify(args)),
        Command::Audit(AuditCommand::Tail(args)) => block_on(commands::audit::tail(args)),
        Command::Audit(AuditCommand::Search(args)) => commands::audit::search(args),
        Command::Doctor(args) => block_on(Box::pin(commands::doctor::run(args))),
        Command::Health(args) => block_on(commands::health::run(args)),
        Command::Top(args) => block_on(commands::top::run(args)),
        Command::Report(args) => block_on(commands::report::run(args)),
        Command::Completions(args) => commands::shell::completions(args),
        Command::Man(args) => commands::shell::man(args),
        Command::Scanners(ScannersCommand::Check(args)) => block_on(commands::scanners::check(args)),
        Command::Config(ConfigCommand::Check(args)) => block_on(commands::config::check(args)),
        Command::Pause(args) => block_on(commands::pools::pause(args)),
        Command::Resume(args) => block_on(commands::pools::resume(args)),
        Command::Workers(args) => block_on(commands::workers::run(args)),
        Command::Circuits(args) => block_on(commands::circuits::list(args)),
        Command::IsolateScanner(args) => block_on(commands::circuits::isolate(args)),
        Command::CloseCircuit(args) => block_on(commands::circuits::close(args)),
        Command::ResetCircuit(args) => block_on(commands::circuits::reset(args)),
    }
}
