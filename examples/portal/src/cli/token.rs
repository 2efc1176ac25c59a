//! `memc-portal token …`

use clap::{Args, Subcommand};

use super::Failure;
use super::places::Places;
use crate::accounts::{TokenKind, UserName};

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token and print it, once: alone on its line.
    Create(Create),
    /// List tokens: id, what for, label, when made. The tokens themselves are kept nowhere.
    List(Places),
    /// Revoke a token by its id.
    Revoke {
        /// As `token list` shows it.
        id: String,
        #[command(flatten)]
        places: Places,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    kind: Kind,
    /// What to call it in lists.
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Kind {
    /// To act as this user through /api/v1.
    #[arg(long, value_name = "NAME")]
    user: Option<UserName>,
    /// For a Salt master that reads pillars.
    #[arg(long)]
    pillar: bool,
}

impl Token {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Token::Create(Create { kind, label, places }) => {
                let made = match kind.user {
                    Some(user) => places.open_accounts().await?.create_user_token(&user, &label).await?,
                    // A site may begin with the token that its Salt master needs.
                    None => places.create_accounts().await?.create_pillar_token(&label).await?,
                };
                say!("{}", made.token);
                Ok(())
            }
            Token::List(places) => {
                for token in places.open_accounts().await?.tokens_of(None).await? {
                    let what = match token.kind {
                        TokenKind::User(name) => format!("user {name}"),
                        TokenKind::Pillar => "pillar".to_owned(),
                    };
                    let made = jiff::Timestamp::from_second(token.created_at)?;
                    say!("{}\t{what}\t{}\t{made}", token.id, token.label);
                }
                Ok(())
            }
            Token::Revoke { id, places } => {
                if !places.open_accounts().await?.revoke_token(None, &id).await? {
                    return Err(
                        format!("there is no token {id:?}: `memc-portal token list` shows them").into()
                    );
                }
                say!("{id} is revoked");
                Ok(())
            }
        }
    }
}
