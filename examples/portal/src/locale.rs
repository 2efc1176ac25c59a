//! The languages of the pages: one catalogue each, embedded, in Fluent's format.
//!
//! Code names a message by its key ([`Text`]) and never writes words for people itself; a [`Translator`] turns the
//! text into one language when the page is written.

use std::fmt;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use memc_core::model::Mib;

/// A language that every page exists in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// All of them, the one that is taken where nobody asked for another first.
    pub const ALL: [Language; 2] = [Language::English, Language::Chinese];

    /// The code that addresses, cookies and settings use: `en`, `zh`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh",
        }
    }

    /// The value of HTML's `lang`: tells browsers which glyphs to take and screen readers how to speak.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh-Hans",
        }
    }

    /// What the language calls itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::Chinese => "中文",
        }
    }

    /// The language of a code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The language that a browser's `Accept-Language` prefers; English if it wants none of ours.
    #[must_use]
    pub fn accepted(header: &str) -> Language {
        let wish = |item: &str| {
            let mut parts = item.split(';');
            let tag = parts.next()?.trim().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q=")?.trim().parse::<f32>().ok());
            let language = Language::of_code(tag.split('-').next()?)?;
            let weight = weight.unwrap_or(1.0);
            (weight > 0.0).then_some((language, weight))
        };
        let mut best: Option<(Language, f32)> = None;
        for (language, weight) in header.split(',').filter_map(wish) {
            if best.is_none_or(|(_, most)| weight > most) {
                best = Some((language, weight));
            }
        }
        best.map_or(Language::English, |(language, _)| language)
    }

    fn catalogue(self) -> &'static str {
        match self {
            Language::English => include_str!("../locales/en.ftl"),
            Language::Chinese => include_str!("../locales/zh.ftl"),
        }
    }

    fn bundle(self) -> &'static Bundle {
        match self {
            Language::English => &ENGLISH,
            Language::Chinese => &CHINESE,
        }
    }
}

type Bundle = FluentBundle<FluentResource>;

static ENGLISH: LazyLock<Bundle> = LazyLock::new(|| load(Language::English));
static CHINESE: LazyLock<Bundle> = LazyLock::new(|| load(Language::Chinese));

fn load(language: Language) -> Bundle {
    // The catalogues are embedded and a test reads them through; at run time a bad entry is only a missing message.
    let resource =
        FluentResource::try_new(language.catalogue().to_owned()).unwrap_or_else(|(resource, _)| resource);
    let mut bundle = FluentBundle::new_concurrent(vec![language.code().parse().unwrap_or_default()]);
    // Marks that isolate directions would be copied along with names and addresses.
    bundle.set_use_isolating(false);
    bundle.add_resource_overriding(resource);
    bundle
}

/// Something to say, in no language yet: a key of the catalogues and what goes into the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    key: &'static str,
    args: Vec<(&'static str, Arg)>,
}

/// What goes into a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// A name, an address, a formatted value: written as it is.
    Word(String),
    /// A count: messages choose their plural by it.
    Count(u64),
    /// Another message.
    Text(Text),
}

/// A message of the catalogue by its key.
#[must_use]
pub fn text(key: &'static str) -> Text {
    Text { key, args: Vec::new() }
}

impl Text {
    /// The same with a value for `{ $name }`.
    #[must_use]
    pub fn arg(mut self, name: &'static str, value: impl Into<Arg>) -> Text {
        self.args.push((name, value.into()));
        self
    }
}

impl From<&str> for Arg {
    fn from(word: &str) -> Arg {
        Arg::Word(word.to_owned())
    }
}

impl From<String> for Arg {
    fn from(word: String) -> Arg {
        Arg::Word(word)
    }
}

impl From<Text> for Arg {
    fn from(text: Text) -> Arg {
        Arg::Text(text)
    }
}

impl From<Mib> for Arg {
    fn from(size: Mib) -> Arg {
        Arg::Word(mib(size))
    }
}

macro_rules! count {
    ($($number:ty)*) => {$(
        impl From<$number> for Arg {
            fn from(number: $number) -> Arg {
                Arg::Count(u64::try_from(number).unwrap_or_default())
            }
        }
    )*};
}

count!(u16 u32 u64 usize);

impl<T: Clone + Into<Arg>> From<&T> for Arg {
    fn from(value: &T) -> Arg {
        value.clone().into()
    }
}

/// A size for people: `4,096 MiB`, the same in every language, and never broken over two lines.
#[must_use]
pub fn mib(size: Mib) -> String {
    format!("{}\u{a0}MiB", grouped(size.get()))
}

/// A number with its thousands marked.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Says things in one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translator {
    /// Which.
    pub language: Language,
}

impl Translator {
    /// The message of a key, for templates: `{{ t.m("caches-title") }}`, with `.arg("name", …)` as needed.
    #[must_use]
    pub fn m(self, key: &'static str) -> Message {
        self.text(&text(key))
    }

    /// A text in this language.
    #[must_use]
    pub fn text(self, text: &Text) -> Message {
        Message { translator: self, text: text.clone() }
    }

    /// A text in this language, as a string.
    #[must_use]
    pub fn say(self, text: &Text) -> String {
        let bundle = self.language.bundle();
        let Some(pattern) = bundle.get_message(text.key).and_then(|message| message.value()) else {
            return format!("⟦{}⟧", text.key);
        };
        let mut args = FluentArgs::with_capacity(text.args.len());
        for (name, value) in &text.args {
            let value = match value {
                Arg::Word(word) => FluentValue::from(word.as_str()),
                Arg::Count(number) => FluentValue::from(*number),
                Arg::Text(text) => FluentValue::from(self.say(text)),
            };
            args.set(*name, value);
        }
        let mut errors = Vec::new();
        let said = bundle.format_pattern(pattern, Some(&args), &mut errors).into_owned();
        if errors.is_empty() { said } else { format!("⟦{}: {said}⟧", text.key) }
    }
}

/// A text in a language, ready to be written.
#[derive(Debug, Clone)]
pub struct Message {
    translator: Translator,
    text: Text,
}

impl Message {
    /// The same with a value for `{ $name }`.
    #[must_use]
    pub fn arg(self, name: &'static str, value: impl Into<Arg>) -> Message {
        Message { text: self.text.arg(name, value), ..self }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.translator.say(&self.text))
    }
}

#[cfg(test)]
mod tests;
