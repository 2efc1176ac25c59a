-- Who may use the portal. Secrets are kept as hashes: argon2id for passwords, SHA-256 for random tokens.

CREATE TABLE users (
    name          TEXT    NOT NULL PRIMARY KEY,
    password_hash TEXT    NOT NULL,
    admin         INTEGER NOT NULL CHECK (admin IN (0, 1)),
    language      TEXT,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE members (
    team      TEXT NOT NULL,
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    PRIMARY KEY (team, user_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_name);

CREATE TABLE sessions (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    user_name  TEXT    NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_name);
CREATE INDEX sessions_by_use ON sessions (used_at);

CREATE TABLE api_tokens (
    id         TEXT    NOT NULL PRIMARY KEY,
    token_hash BLOB    NOT NULL UNIQUE,
    kind       TEXT    NOT NULL CHECK (kind IN ('user', 'pillar')),
    user_name  TEXT    REFERENCES users (name) ON DELETE CASCADE,
    label      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK ((kind = 'user') = (user_name IS NOT NULL))
) STRICT;
CREATE INDEX api_tokens_by_user ON api_tokens (user_name);

-- Attempts to log in within a window, by what they have in common: a name, an address, or both.
CREATE TABLE login_attempts (
    subject  TEXT    NOT NULL PRIMARY KEY,
    attempts INTEGER NOT NULL,
    until    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_attempts_by_end ON login_attempts (until);

-- Request ids of changes to these tables.
CREATE TABLE requests (
    user_name TEXT    NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    id        TEXT    NOT NULL,
    change    TEXT    NOT NULL,
    asked_at  INTEGER NOT NULL,
    PRIMARY KEY (user_name, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (asked_at);
