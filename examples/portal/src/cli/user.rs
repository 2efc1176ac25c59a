//! `memc-portal user …`

use std::io::Read;

use clap::{Args, Subcommand};
use memc_core::model::TeamName;

use super::places::{FleetPlace, Places, Unusable};
use super::{Failure, inspect};
use crate::accounts::UserName;

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Add a user. The first one should be an administrator.
    Add(Add),
    /// Give a user another password; they are logged out everywhere.
    Passwd {
        /// Whose.
        name: UserName,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        places: Places,
    },
    /// List users: name, whether they are an administrator, their teams.
    List(Places),
    /// Remove a user with their tokens and memberships. Their teams' caches stay.
    Remove {
        /// Whom.
        name: UserName,
        #[command(flatten)]
        places: Places,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// 1 to 64 of a-z 0-9 . _ - that start with a letter or digit.
    name: UserName,
    /// Let them do everything: hosts, quotas, all teams.
    #[arg(long)]
    admin: bool,
    /// Put them in this team; may be given several times.
    #[arg(long, value_name = "TEAM", value_delimiter = ',')]
    team: Vec<TeamName>,
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, Args)]
pub(super) struct Password {
    /// Read the password from standard input: 8 to 1024 bytes, a line break at its end is not part of it.
    #[arg(long, required = true)]
    password_stdin: bool,
}

impl Password {
    fn read(&self) -> Result<String, Failure> {
        if !self.password_stdin {
            return Err("give --password-stdin and the password on standard input".into());
        }
        let mut text = String::new();
        // Far beyond the longest password: more is a mistake, not a password.
        std::io::stdin().lock().take(64 * 1024).read_to_string(&mut text)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }
}

impl User {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            User::Add(add) => add.run().await,
            User::Passwd { name, password, places } => {
                let password = password.read()?;
                places.open_accounts().await?.set_password(&name, &password).await?;
                say!("{name} has a new password");
                Ok(())
            }
            User::List(places) => {
                for user in places.open_accounts().await?.users().await? {
                    let teams: Vec<&str> = user.teams.iter().map(TeamName::as_str).collect();
                    say!(
                        "{}\t{}\t{}",
                        user.name,
                        if user.admin { "admin" } else { "member" },
                        teams.join(",")
                    );
                }
                Ok(())
            }
            User::Remove { name, places } => {
                let accounts = places.open_accounts().await?;
                accounts.remove_user(&name).await?;
                say!("{name} is removed");
                if !accounts.users().await?.iter().any(|user| user.admin) {
                    eprintln!("warning: there is no administrator any more");
                }
                Ok(())
            }
        }
    }
}

impl Add {
    async fn run(self) -> Result<(), Failure> {
        let Add { name, admin, team: teams, password, places } = self;
        let password = password.read()?;
        let accounts = places.create_accounts().await?;
        accounts.create_user(&name, &password, admin).await?;
        for team in &teams {
            accounts.add_member(team, &name).await?;
        }
        say!("{name} is added");
        for team in missing(&places.fleet, &teams).await? {
            eprintln!("warning: there is no team {team} yet: {name} becomes a member when one is created");
        }
        Ok(())
    }
}

/// The teams among these that the fleet does not have.
async fn missing<'a>(place: &FleetPlace, teams: &'a [TeamName]) -> Result<Vec<&'a TeamName>, Failure> {
    if teams.is_empty() {
        return Ok(Vec::new());
    }
    let store = match place.find_store().await {
        Err(Unusable::NoFleet(_)) => return Ok(teams.iter().collect()),
        found => found?,
    };
    let state = inspect::state(&*store).await?;
    Ok(teams.iter().filter(|team| state.team_named(team).is_none()).collect())
}
