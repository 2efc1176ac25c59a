//! The command line.

pub(crate) const USAGE: &str = "\
Usage: simulate --hosts N --instances M --seed S [--headroom P] [--fill P] [--order pack|balance]

The life of a fleet: it fills up, turns over once (as many instances are released and asked for again as there are,
caches grow and shrink), loses a rack, closes a host, and gets both back. Every decision is made by the library and
checked by a second implementation of plain lists.

  --hosts N        hosts of 64, 128 and 192 GiB, 1 to 1000000; 40 a rack, fewer where there are fewer than 400
  --instances M    how many instances to fill up to, 0 to 100000000
  --seed S         what everything drawn at random is a function of
  --headroom P     percent of each host that is kept from new instances, 0 to 90; default 10
  --fill P         percent of the fleet's memory to stop filling at, 1 to 100; default 85
  --order ORDER    pack (the tightest host first) or balance (the emptiest first); default pack
  -h, --help       this text

Standard output, the same for the same arguments:

  hosts                   N
  instances               at the end of the turnover
  operations              commands given
  refused                 allocations and replacements that were refused
  wrongly_refused         refusals, of growing as well, where the second implementation finds a place
  violations              rules broken, and differences between the two implementations
  fill_percent            memory booked at the end of the turnover
  grow_in_place_percent   caches that grew by half where they are, of those that were asked to; - if none was
  largest_fit_mib         the largest instance that fits at the end of the turnover, 0 if none does
  moved_mib               memory moved to empty the closed host
  drains_undecided        hosts for which it was not decided whether they can be emptied

What is checked, and when:

  always                  a new instance: host open, memory, headroom, rack limit, one of a cache a host, port neither
                          owned nor blocked nor cooling down; the sums and ports of every host that a command touches;
                          each refusal
  the full rule           which hosts and ports are chosen, quota, whether growing is allowed: with every command up to
                          1000 hosts, with one in 64 beyond
  the whole fleet         every record and sum: with every command up to 20 hosts, with one in N beyond, and after
                          each phase; then the state is also built anew from its records and compared

Exit status: 0; 1 after a violation or a wrong refusal, of which standard error has a line `violation OPERATION RULE`;
2 for wrong arguments.
";

#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    pub(crate) hosts: u64,
    pub(crate) instances: u64,
    pub(crate) seed: u64,
    pub(crate) headroom: u32,
    pub(crate) fill: u64,
    pub(crate) balance: bool,
}

#[derive(Debug)]
pub(crate) enum Asked {
    Life(Arguments),
    Help,
}

pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let (mut hosts, mut instances, mut seed) = (None, None, None);
    let (mut headroom, mut fill, mut balance) = (10, 85, false);
    while let Some(option) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{option} needs a value"));
        match option.as_str() {
            "-h" | "--help" => return Ok(Asked::Help),
            "--hosts" => hosts = Some(number(&option, &value()?, 1, 1_000_000)?),
            "--instances" => instances = Some(number(&option, &value()?, 0, 100_000_000)?),
            "--seed" => seed = Some(number(&option, &value()?, 0, u64::MAX)?),
            "--headroom" => headroom = number(&option, &value()?, 0, 90)? as u32,
            "--fill" => fill = number(&option, &value()?, 1, 100)?,
            "--order" => {
                balance = match value()?.as_str() {
                    "pack" => false,
                    "balance" => true,
                    other => return Err(format!("--order is {other:?}: it must be pack or balance")),
                }
            }
            other => return Err(format!("there is no option {other:?}")),
        }
    }
    let missing = |option: &str| format!("{option} is missing");
    Ok(Asked::Life(Arguments {
        hosts: hosts.ok_or_else(|| missing("--hosts"))?,
        instances: instances.ok_or_else(|| missing("--instances"))?,
        seed: seed.ok_or_else(|| missing("--seed"))?,
        headroom,
        fill,
        balance,
    }))
}

fn number(option: &str, text: &str, least: u64, most: u64) -> Result<u64, String> {
    let valid = text.parse().ok().filter(|number| (least..=most).contains(number));
    valid.ok_or_else(|| format!("{option} is {text:?}: it must be a whole number from {least} to {most}"))
}
