//! The command line: `memc-portal serve`, `user`, `token`, `accounts`, `doctor`, `restored`, `history`, `export`,
//! `import`.

/// Print a line, as `println!` does, but end the program where nobody takes it.
macro_rules! say {
    ($($line:tt)*) => { $crate::cli::say(format_args!($($line)*)) };
}

mod accounts;
mod archive;
mod doctor;
mod history;
mod inspect;
mod places;
mod restored;
mod serve;
mod token;
mod user;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use memc_core::fleet::OpenError;

/// Self-service memcached: a portal with pages, a JSON API and the pillar for Salt.
///
/// Settings (--store, --accounts, --accept-unsafe-store, and all of `serve`) can also be given as environment variables:
/// --public-url as MEMC_PUBLIC_URL, and so on. An empty one is none.
#[derive(Debug, Parser)]
#[command(name = "memc-portal", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  A first administrator, then the portal:
    printf %s \"$PASSWORD\" | memc-portal user add ada --admin --password-stdin --store sqlite:///var/lib/memc/memc.db
    memc-portal serve --listen 127.0.0.1:8080 --store sqlite:///var/lib/memc/memc.db

  Tokens for programs, each printed once:
    memc-portal token create --user ada --store sqlite:///var/lib/memc/memc.db
    memc-portal token create --pillar --store sqlite:///var/lib/memc/memc.db";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the pages, the API and the pillar.
    Serve(serve::Serve),
    /// Add, list and remove users, and set their passwords.
    #[command(subcommand)]
    User(user::User),
    /// Make, list and revoke bearer tokens for the API and for Salt masters.
    #[command(subcommand)]
    Token(token::Token),
    /// Print settings, versions and findings: quickly, and what `serve` would refuse is among them.
    ///
    /// Exit codes: 0 if nothing is wrong (notes are nothing wrong), 1 if something is or could not be looked at, 2 if the
    /// command line is.
    Doctor(doctor::Doctor),
    /// Users, memberships and tokens as a file; the fleet is another.
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// Say that the store was set back to an older backup: start a new epoch, so that hosts follow it again and nothing
    /// made since is taken for what is made from now on.
    Restored(restored::Restored),
    /// What is kept of what happened.
    #[command(subcommand)]
    History(history::History),
    /// Write the fleet with its history to a file, to keep it or to move it to another store.
    Export(archive::Export),
    /// Take such a file into an empty store of any kind, and compare what it then keeps.
    Import(archive::Import),
}

/// Something that ends the program, said to people.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Run the program that the command line asks for.
#[must_use]
pub fn run() -> ExitCode {
    let matches = without_empty_variables(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Serve(serve) => serve.run().await.map(|()| ExitCode::SUCCESS),
            Command::User(user) => user.run().await.map(|()| ExitCode::SUCCESS),
            Command::Token(token) => token.run().await.map(|()| ExitCode::SUCCESS),
            Command::Restored(restored) => restored.run().await.map(|()| ExitCode::SUCCESS),
            Command::Export(export) => export.run().await.map(|()| ExitCode::SUCCESS),
            Command::Import(import) => import.run().await.map(|()| ExitCode::SUCCESS),
            Command::History(history) => history.run().await.map(|()| ExitCode::SUCCESS),
            Command::Accounts(accounts) => accounts.run().await.map(|()| ExitCode::SUCCESS),
            Command::Doctor(doctor) => doctor::run(&doctor).await,
        }
    });
    done.unwrap_or_else(|error| fail(&error))
}

/// A file of settings may name one without a value: as it is with `RUST_LOG`, that is no setting, not an empty one.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|flag| match flag.get_env().is_some_and(is_empty) {
            true => flag.env(Resettable::Reset),
            false => flag,
        })
        .mut_subcommands(without_empty_variables)
}

/// Whoever reads may have read enough, as `head` has, and a disk may be full: no bug of ours, and said by the exit code.
fn say(line: fmt::Arguments<'_>) {
    let Err(error) = writeln!(io::stdout(), "{line}") else { return };
    if error.kind() != io::ErrorKind::BrokenPipe {
        eprintln!("memc-portal: standard output: {error}");
    }
    std::process::exit(1);
}

fn fail(error: &Failure) -> ExitCode {
    eprintln!("memc-portal: {error}");
    if let Some(OpenError::Unsafe(_)) = error.downcast_ref() {
        eprintln!(
            "memc-portal: --accept-unsafe-store accepts the loss; every page of operators then says so"
        );
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A setting is what `serve` takes. What is said once, to one command, is no setting: left over in the environment, it
    /// would change what another one does.
    #[test]
    fn the_command_line_is_sound_and_every_setting_has_its_variable() {
        let mut cli = Cli::command();
        cli.build();
        cli.clone().debug_assert();
        let serve = cli.find_subcommand("serve").unwrap();
        let settings: Vec<&str> = serve.get_arguments().filter_map(clap::Arg::get_long).collect();
        check(&cli, &settings);
    }

    fn check(command: &clap::Command, settings: &[&str]) {
        for flag in command.get_arguments() {
            let Some(long) = flag.get_long() else { continue };
            let is_setting = settings.contains(&long) && long != "help";
            let variable = is_setting.then(|| format!("MEMC_{}", long.to_uppercase().replace('-', "_")));
            assert_eq!(flag.get_env().and_then(|it| it.to_str()), variable.as_deref(), "--{long}");
        }
        command.get_subcommands().for_each(|command| check(command, settings));
    }
}
