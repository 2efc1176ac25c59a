//! What is in the way of a request, and what would do instead, in people's words.

use memc_core::ledger::{Rule, WhyNot};

use super::page::When;
use crate::locale::{Text, text};

/// Hosts that are offered by name; of more, only the number is said.
const HOSTS_NAMED: usize = 5;

/// Why not, for a page.
pub(super) struct Explanation {
    /// What is in the way.
    pub(super) reasons: Vec<Text>,
    /// From when on waiting is enough.
    pub(super) from: Option<When>,
    /// What to ask for instead.
    pub(super) offers: Vec<Offer>,
    /// What operators can do about it; empty for everyone else.
    pub(super) for_operators: Vec<Offer>,
    /// How many more hosts could be opened again than are named.
    pub(super) more_hosts: usize,
}

/// Something else to do, and where.
pub(super) struct Offer {
    pub(super) text: Text,
    pub(super) path: String,
}

impl Explanation {
    /// Without offers that depend on the page.
    pub(super) fn new(why: &WhyNot) -> Explanation {
        let mut reasons: Vec<Text> =
            why.alone.iter().filter(|rule| tells_most(**rule, &why.alone)).filter_map(reason).collect();
        let from = why.alone.iter().find_map(|rule| match rule {
            Rule::CoolDown { until } => Some(When::new(*until)),
            _ => None,
        });
        if why.unobserved > 0 && !why.alone.contains(&Rule::Unobserved) {
            reasons.push(text("why-not-unobserved"));
        }
        if reasons.is_empty() && from.is_none() {
            reasons.push(text("why-not-several"));
        }
        let uncordon = why.uncordon.iter().take(HOSTS_NAMED).map(|host| Offer {
            text: text("offer-uncordon").arg("name", host.as_str()),
            path: format!("/admin/hosts/{host}"),
        });
        let add = why.add.map(|add| Offer {
            text: text("offer-hosts").arg("n", add.count).arg("memory", add.memory),
            path: "/admin/new-host".to_owned(),
        });
        Explanation {
            reasons,
            from,
            offers: Vec::new(),
            for_operators: uncordon.chain(add).collect(),
            more_hosts: why.uncordon.len().saturating_sub(HOSTS_NAMED),
        }
    }

    /// The same with something else to ask for.
    pub(super) fn offer(mut self, text: Text, path: String) -> Explanation {
        self.offers.push(Offer { text, path });
        self
    }
}

/// Larger hosts would also make up for what is kept free, and more ports for those that cool down: where the narrower
/// rule is alone in the way, it says more.
fn tells_most(rule: Rule, alone: &[Rule]) -> bool {
    match rule {
        Rule::Memory => !alone.iter().any(|rule| matches!(rule, Rule::Headroom | Rule::FillLimit)),
        Rule::Ports => !alone.iter().any(|rule| matches!(rule, Rule::CoolDown { .. })),
        _ => true,
    }
}

fn reason(rule: &Rule) -> Option<Text> {
    Some(match rule {
        Rule::Memory => text("why-not-memory"),
        Rule::Headroom => text("why-not-headroom"),
        Rule::FillLimit => text("why-not-fill-limit"),
        Rule::Ports => text("why-not-ports"),
        Rule::Spread => text("why-not-spread"),
        Rule::Racks => text("why-not-racks"),
        Rule::Quota => text("why-not-quota"),
        Rule::Unobserved => text("why-not-unobserved"),
        // Said with its moment.
        Rule::CoolDown { .. } => return None,
    })
}
