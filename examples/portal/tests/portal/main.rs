//! The portal over HTTP and as a program, on a real SQLite store.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod api;
#[cfg(test)]
mod api_errors;
#[cfg(test)]
mod api_hosts;
#[cfg(test)]
mod api_idempotency;
#[cfg(test)]
mod api_lists;
#[cfg(test)]
mod api_permissions;
#[cfg(test)]
mod api_refusals;
#[cfg(test)]
mod archives;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod contention;
#[cfg(test)]
mod data_page;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod program;
#[cfg(test)]
mod read_only;
#[cfg(test)]
mod server;
