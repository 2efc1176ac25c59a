//! The scripts that run in the server.

use redis::{Cmd, ErrorKind, ServerErrorKind, Value};

use crate::error::Failure;
use crate::link::{Link, Repeat};

/// A script in Lua. It names every key that it touches, so that a cluster never runs it where only some of them are.
#[derive(Debug)]
pub(crate) struct Script {
    code: &'static str,
    hash: String,
}

#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) begin: Script,
    pub(crate) append: Script,
    pub(crate) leave: Script,
    pub(crate) trim: Script,
    pub(crate) migrate: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Scripts {
            begin: Script::new(include_str!("lua/begin.lua")),
            append: Script::new(include_str!("lua/append.lua")),
            leave: Script::new(include_str!("lua/leave.lua")),
            trim: Script::new(include_str!("lua/trim.lua")),
            migrate: Script::new(include_str!("lua/migrate.lua")),
        }
    }
}

impl Script {
    fn new(code: &'static str) -> Self {
        Script { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    /// Run it: by its hash, or whole where the server does not know it yet.
    pub(crate) async fn run(
        &self,
        link: &Link,
        keys: &[&str],
        arguments: &[&[u8]],
        repeat: Repeat,
    ) -> Result<Value, Failure> {
        let command = |name: &str, script: &str| -> Cmd {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(keys);
            arguments.iter().for_each(|argument| {
                command.arg(argument);
            });
            command
        };
        match link.ask(&command("EVALSHA", &self.hash), repeat).await {
            Err(Failure::Refused(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                link.ask(&command("EVAL", self.code), repeat).await
            }
            answered => answered,
        }
    }
}
