//! Drains: feasible or not as the oracle says, and the least that goes cold.

use memc_core::placement::plan::{Answer, Budget, Proof, check, drain};

use crate::generate::tight;
use crate::oracle::least;

/// How many drains agree, none of them undecided.
fn agree(seeds: std::ops::Range<u64>) -> u32 {
    let (mut plans, mut aside, mut searched, mut reasons) = (0, 0, 0, 0);
    for seed in seeds {
        let layout = tight(seed);
        for (host, of) in layout.hosts.iter().enumerate() {
            let on_it = |place: usize| place == host;
            let want = least(&layout, Some(host), Budget::UNLIMITED, |state| {
                (0..state.host.len()).all(|at| !on_it(state.host[at]) || !layout.instances[at].movable)
            });
            let own: u64 = layout
                .instances
                .iter()
                .filter(|at| at.host as usize == host && at.movable)
                .map(|at| at.memory.get())
                .sum();
            match (drain(&layout, of.id, 1_000_000), want) {
                (Answer::Plan(plan), Some(cold)) => {
                    assert_eq!(check(&layout, &plan, Budget::UNLIMITED), Ok(()), "seed {seed} host {host}");
                    assert_eq!(plan.emptied, [of.id]);
                    assert_eq!(plan.cold.get(), cold, "seed {seed} host {host}: {plan:?}");
                    plans += 1;
                    aside += u32::from(cold > own);
                }
                (Answer::Infeasible(Proof::Searched { .. }), None) => searched += 1,
                (Answer::Infeasible(_), None) => reasons += 1,
                (got, want) => panic!("seed {seed} host {host}: {got:?}, and the oracle says {want:?}"),
            }
        }
    }
    println!(
        "{plans} plans, {aside} of them with side moves; {reasons} infeasible seen at once, {searched} searched"
    );
    plans + reasons + searched
}

#[test]
fn agree_with_a_search_of_every_state() {
    assert!(agree(0..300) >= 1_000);
}

#[test]
#[ignore = "minutes in a debug build: scripts/test long"]
fn agree_with_a_search_of_every_state_often() {
    assert!(agree(1_000..3_000) >= 8_000);
}
