//! Random tokens, which are shown once and kept as hashes.

use sha2::{Digest, Sha256};

use super::AccountsError;

/// `prefix` and 256 random bits in hexadecimal. The prefix lets people and scanners recognise what leaked.
pub(super) fn random_token(prefix: &str) -> Result<String, AccountsError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| AccountsError::Secret(error.to_string()))?;
    Ok(format!("{prefix}{}", hexadecimal(&bytes)))
}

/// What is kept of a token. It has 256 random bits: a fast hash cannot be reversed by guessing.
pub(super) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A session's CSRF token: a function of the session's own, so that nothing more needs keeping, and no way back.
pub(super) fn csrf_of(session_token: &str) -> String {
    hexadecimal(&Sha256::new().chain_update(b"csrf:").chain_update(session_token).finalize())
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_say_what_they_are() {
        let (one, other) = (random_token("memcu_").unwrap(), random_token("memcu_").unwrap());
        assert_ne!(one, other);
        assert!(one.starts_with("memcu_"));
        assert_eq!(one.len(), "memcu_".len() + 64);
        assert_ne!(csrf_of(&one), csrf_of(&other));
        assert_ne!(csrf_of(&one), hexadecimal(&hash(&one)));
    }
}
