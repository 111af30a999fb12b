//! The rule table: which words, in which places, speak for promotion or for a neutral message, why,
//! and by which law. Owns loading the table from TOML, compiling it once, and finding its hits in a
//! text in linear time; how hits make a verdict is `judge`'s business.
//!
//! A pattern is a regular expression over folded text (lower case, no accents) with words of our own:
//! `<money>`, `<pct>`, `<num>`, `<reward>` (an amount, if one follows), `<gap>` (up to 40 characters
//! within a sentence), `<g>` (up to 15). It matches
//! whole words only, save in link targets and file names. A pattern is tried where a literal stands that a
//! match of it can begin with, and only in a text that holds the literals which no match of it can lack; all
//! literals are looked for at once (Aho-Corasick), so that a segment costs one pass whatever the table's size.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::automaton::Automaton;
use aho_corasick::{Anchored, dfa};
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Class, Hir, HirKind};
use serde::Deserialize;

use super::decode::floor_char_boundary;
use super::segment::PlaceKind;
use super::verdict::MAX_QUOTE;

/// The rule files, in the order in which they are documented, and the citations they use.
const TABLES: [(&str, &str); 7] = [
    ("offers.toml", include_str!("../../config/rules/offers.toml")),
    ("relation.toml", include_str!("../../config/rules/relation.toml")),
    ("nudges.toml", include_str!("../../config/rules/nudges.toml")),
    ("aims.toml", include_str!("../../config/rules/aims.toml")),
    ("links.toml", include_str!("../../config/rules/links.toml")),
    ("claims.toml", include_str!("../../config/rules/claims.toml")),
    ("service.toml", include_str!("../../config/rules/service.toml")),
];
const LAW: &str = include_str!("../../config/rules/law.toml");

/// Room for one compiled pattern; the largest in the table takes a tenth.
const PATTERN_SIZE: usize = 4 << 20;

/// How a rule's hits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CountsAs {
    /// For promotion.
    Promotional,
    /// What the sender says of the message; raises suspicion where there is promotional evidence,
    /// and alone is none.
    Claim,
    /// Neutral words around promotional ones: lowers the segment they stand in.
    Context,
    /// A service message's content: tells mixed from marketing.
    Service,
}

/// Where a rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything that is written in sentences: subject, paragraphs, headings, hidden and
    /// alternative texts, buttons and links.
    Text,
    /// Subject, HTML title and preheader.
    Subject,
    /// Buttons, links and alternative texts: short calls to act.
    Call,
    /// Link targets.
    LinkTarget,
    /// File names of images and attachments.
    FileName,
}

impl Scope {
    fn covers(self, kind: PlaceKind) -> bool {
        use PlaceKind as P;
        match self {
            Self::Text => !matches!(kind, P::LinkTarget | P::ImageFile | P::AttachmentName),
            Self::Subject => matches!(kind, P::Subject | P::Title | P::Preheader),
            Self::Call => matches!(kind, P::Button | P::Link | P::AltText | P::Tooltip),
            Self::LinkTarget => kind == P::LinkTarget,
            Self::FileName => matches!(kind, P::ImageFile | P::AttachmentName),
        }
    }
}

/// One rule of the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable name, `theme.device`.
    pub id: String,
    /// The device in plain words.
    pub title: String,
    /// Why it counts.
    pub why: String,
    /// The citation, in full after loading; a key of `law.toml` in the file.
    pub law: String,
    /// Log-odds that a hit adds.
    pub weight: f32,
    /// How hits count.
    pub counts_as: CountsAs,
    /// Where it applies; everywhere that is text, if not given.
    #[serde(default = "text_scope")]
    pub scope: Vec<Scope>,
    /// Patterns by language (ISO 639-1, or `any`). The language of a message does not limit them:
    /// a short segment's language is not known, and messages mix languages.
    pub patterns: BTreeMap<String, Vec<String>>,
    /// Exceptions: a hit that overlaps a match of one of these is none.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Texts that must fire this rule.
    #[serde(default)]
    pub fires: Vec<String>,
    /// Texts that are near and must not.
    #[serde(default)]
    pub spares: Vec<String>,
}

fn text_scope() -> Vec<Scope> {
    vec![Scope::Text]
}

/// What is wrong with the rule table. It is part of the program, so this is a build fault.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// A file of the table does not parse.
    #[error("config/rules/{file} is not a rule table: {source}")]
    Parse {
        /// The file.
        file: &'static str,
        /// Line and reason.
        source: Box<toml::de::Error>,
    },
    /// A rule cites a law that `law.toml` does not have.
    #[error("rule {rule} cites `{law}`, which config/rules/law.toml does not define")]
    Law {
        /// The rule's id.
        rule: String,
        /// The unknown key.
        law: String,
    },
    /// A pattern is no regular expression, or too large.
    #[error("rule {rule}: the pattern `{pattern}` does not compile: {reason}")]
    Pattern {
        /// The rule's id.
        rule: String,
        /// The pattern as written.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// The automaton over all literals could not be built.
    #[error("the rule table's literals do not fit one automaton: {0}")]
    Automaton(#[from] aho_corasick::BuildError),
}

/// Words in a folded text that fire a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// Index of the rule.
    pub rule: usize,
    /// Bytes of the folded text.
    pub span: Range<usize>,
}

/// The compiled rule table.
#[derive(Debug)]
pub(super) struct RuleTable {
    rules: Vec<Rule>,
    patterns: Vec<Pattern>,
    /// The exceptions of each rule.
    unless: Vec<Vec<Expression>>,
    literals: dfa::DFA,
    /// What each literal tells of patterns.
    tells: Vec<Tells>,
    /// The literals that a match inside a word can begin with.
    begin_inside: Bits,
    /// Patterns without such a literal.
    always: Vec<u32>,
}

/// The patterns that are tried where a literal stands.
#[derive(Debug, Default)]
struct Tells {
    /// A match of these can begin with the literal.
    begin: Vec<u32>,
    /// Of these, those that match parts of words, too.
    begin_inside: Vec<u32>,
    /// What these begin with is not known, but that no match lacks the literal (or one of its sisters).
    hold: Vec<u32>,
}

#[derive(Debug)]
struct Pattern {
    rule: usize,
    expression: Expression,
    /// Sets of literals: every match has a literal of each set.
    needs: Vec<Vec<u32>>,
}

/// A pattern as it is read from the table.
struct Reading {
    expression: Expression,
    in_words: bool,
    needs: Vec<Vec<String>>,
    /// Every match begins with one of these; empty when that is not known.
    beginnings: Vec<String>,
}

/// A pattern that a text may match.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    pattern: u32,
    /// Where a match may begin; anywhere, if not given.
    start: Option<usize>,
}

/// What the regular expressions had to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    /// Searches.
    pub searches: usize,
    /// Octets that these could read at most.
    pub octets: usize,
}

/// A regular expression that is compiled when a text first has a literal of it: all of them together
/// take half a second and 60 MB, and most messages need a few.
#[derive(Debug)]
struct Expression {
    written: String,
    in_words: bool,
    /// The longest match, in octets, and one behind it; none when there is no longest.
    reach: Option<usize>,
    anywhere: OnceLock<Option<Regex>>,
    at_start: OnceLock<Option<Regex>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    rule: Vec<Rule>,
}

impl RuleTable {
    /// Loads and compiles the built-in table.
    pub(super) fn built_in() -> Result<Self, RuleError> {
        let law: BTreeMap<String, String> = parse("law.toml", LAW)?;
        let mut rules = Vec::new();
        for (file, text) in TABLES {
            let RuleFile { rule } = parse(file, text)?;
            rules.extend(rule);
        }
        for rule in &mut rules {
            let Some(citation) = law.get(&rule.law) else {
                return Err(RuleError::Law { rule: rule.id.clone(), law: rule.law.clone() });
            };
            rule.law.clone_from(citation);
        }
        Self::compile(rules)
    }

    fn compile(rules: Vec<Rule>) -> Result<Self, RuleError> {
        let mut patterns = Vec::new();
        let mut literals = Literals::default();
        let mut always = Vec::new();
        let mut unless = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            for written in rule.patterns.values().flatten() {
                let number = u32::try_from(patterns.len()).unwrap_or(u32::MAX);
                let mut reading = read_pattern(rule, written)?;
                reading.needs.sort_by_key(|set| std::cmp::Reverse(rarity(set)));
                if !reading.beginnings.is_empty() {
                    reading.needs.retain(|set| !set.iter().any(|literal| is_everywhere(literal)));
                }
                let needs: Vec<Vec<u32>> = reading.needs.iter().map(|set| literals.number(set)).collect();
                let beginnings = literals.number(&reading.beginnings);
                match needs.first() {
                    _ if !beginnings.is_empty() => literals.tell(&beginnings, |tells| {
                        tells.begin.push(number);
                        if !reading.in_words {
                            tells.begin_inside.push(number);
                        }
                    }),
                    Some(rarest) => literals.tell(rarest, |tells| tells.hold.push(number)),
                    None => always.push(number),
                }
                patterns.push(Pattern { rule: index, expression: reading.expression, needs });
            }
            let exceptions =
                rule.unless.iter().map(|written| read_pattern(rule, written).map(|read| read.expression));
            unless.push(exceptions.collect::<Result<_, _>>()?);
        }
        let automaton = dfa::DFA::new(&literals.texts)?;
        let tells = literals.tells;
        let mut begin_inside = Bits::new(tells.len());
        for (literal, _) in tells.iter().enumerate().filter(|(_, tells)| !tells.begin_inside.is_empty()) {
            begin_inside.insert(literal);
        }
        Ok(Self { rules, patterns, unless, literals: automaton, tells, begin_inside, always })
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The hits in the folded text of a segment of this kind, in reading order: per rule and
    /// sentence one, which spans all that the rule's patterns find there.
    pub(super) fn hits(&self, folded: &str, kind: PlaceKind) -> Vec<Hit> {
        self.hits_counted(folded, kind, &mut Work::default())
    }

    /// The same; adds up the work.
    pub(super) fn hits_counted(&self, folded: &str, kind: PlaceKind, work: &mut Work) -> Vec<Hit> {
        let candidates = self.candidates(folded, kind);
        let mut hits: Vec<Hit> = Vec::new();
        // Patterns are numbered rule by rule, so a rule's candidates are neighbours.
        for group in candidates.chunk_by(|a, b| self.rule_of(a.pattern) == self.rule_of(b.pattern)) {
            let Some(index) = group.first().and_then(|candidate| self.rule_of(candidate.pattern)) else {
                continue;
            };
            let spans = self.spans(index, group, folded, work);
            hits.extend(spans.into_iter().map(|span| Hit { rule: index, span }));
        }
        hits.sort_by_key(|hit| (hit.span.start, hit.span.end));
        hits
    }

    fn rule_of(&self, pattern: u32) -> Option<usize> {
        self.patterns.get(pattern as usize).map(|pattern| pattern.rule)
    }

    /// The patterns that a text in a place can match by the literals in it, in ascending order.
    fn candidates(&self, folded: &str, kind: PlaceKind) -> Vec<Candidate> {
        let anywhere = |pattern: u32| Candidate { pattern, start: None };
        let mut candidates: Vec<Candidate> = self.always.iter().copied().map(anywhere).collect();
        let mut found = Bits::new(self.tells.len());
        let automaton = &self.literals;
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return candidates };
        let bytes = folded.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, byte);
            if !automaton.is_special(state) || !automaton.is_match(state) {
                continue;
            }
            for index in 0..automaton.match_len(state) {
                let literal = automaton.match_pattern(state, index);
                let start = at + 1 - automaton.pattern_len(literal);
                let begins_word = start == 0 || !is_word_octet(bytes[start - 1]);
                let is_new = found.insert(literal.as_usize());
                if !is_new && !begins_word && !self.begin_inside.contains(literal.as_usize()) {
                    continue;
                }
                let Some(tells) = self.tells.get(literal.as_usize()) else { continue };
                if is_new {
                    candidates.extend(tells.hold.iter().copied().map(anywhere));
                }
                let patterns = if begins_word { &tells.begin } else { &tells.begin_inside };
                let begun = patterns.iter().map(|&pattern| Candidate { pattern, start: Some(start) });
                candidates.extend(begun);
            }
        }
        candidates.retain(|candidate| {
            let Some(pattern) = self.patterns.get(candidate.pattern as usize) else { return false };
            let is_here =
                || self.rules.get(pattern.rule).is_some_and(|r| r.scope.iter().any(|s| s.covers(kind)));
            pattern.needs.iter().all(|set| set.iter().any(|&literal| found.contains(literal as usize)))
                && is_here()
        });
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// Where a rule fires, save where one of its exceptions overlaps; spans in one sentence merged.
    fn spans(
        &self,
        rule: usize,
        candidates: &[Candidate],
        folded: &str,
        work: &mut Work,
    ) -> Vec<Range<usize>> {
        let mut spans: Vec<Range<usize>> = Vec::new();
        for of_pattern in candidates.chunk_by(|a, b| a.pattern == b.pattern) {
            let number = of_pattern.first().map_or(0, |candidate| candidate.pattern as usize);
            let Some(pattern) = self.patterns.get(number) else { continue };
            let starts: Option<Vec<usize>> = of_pattern.iter().map(|candidate| candidate.start).collect();
            match starts {
                Some(starts) if starts.len() <= MOST_STARTS => {
                    pattern.expression.matches_at(folded, &starts, work, &mut spans);
                }
                _ => pattern.expression.matches(folded, work, &mut spans),
            }
        }
        if spans.is_empty() {
            return spans;
        }
        let unless = self.unless.get(rule).into_iter().flatten();
        let excepted: Vec<Range<usize>> = unless
            .filter_map(Expression::anywhere)
            .flat_map(|regex| regex.find_iter(folded).map(|found| found.range()))
            .collect();
        spans.retain(|span| !excepted.iter().any(|other| other.start < span.end && span.start < other.end));
        spans.sort_by_key(|span| (span.start, span.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for span in spans {
            match merged.last_mut() {
                Some(last)
                    if sentence_around(folded, last).end >= span.end
                        && span.end - last.start <= MAX_QUOTE =>
                {
                    last.end = last.end.max(span.end);
                }
                _ => merged.push(span),
            }
        }
        merged
    }
}

/// The literals of all patterns, numbered.
#[derive(Default)]
struct Literals {
    numbers: BTreeMap<String, u32>,
    texts: Vec<String>,
    tells: Vec<Tells>,
}

impl Literals {
    /// Numbers the literals of a set; only their first octets are looked for.
    fn number(&mut self, set: &[String]) -> Vec<u32> {
        let number = |text: &String| {
            let text = &text[..floor_char_boundary(text, LITERAL)];
            *self.numbers.entry(text.to_owned()).or_insert_with(|| {
                self.texts.push(text.to_owned());
                self.tells.push(Tells::default());
                u32::try_from(self.texts.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let mut numbers: Vec<u32> = set.iter().map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn tell(&mut self, set: &[u32], mut add: impl FnMut(&mut Tells)) {
        for &literal in set {
            add(&mut self.tells[literal as usize]);
        }
    }
}

/// A set of small numbers.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(numbers: usize) -> Self {
        Self(vec![0; numbers.div_ceil(64)])
    }

    /// Whether it was not there before.
    fn insert(&mut self, number: usize) -> bool {
        let bit = 1 << (number % 64);
        let is_new = self.0[number / 64] & bit == 0;
        self.0[number / 64] |= bit;
        is_new
    }

    fn contains(&self, number: usize) -> bool {
        self.0[number / 64] & 1 << (number % 64) != 0
    }
}

/// Matches of one pattern that are looked at in one segment.
const MOST_MATCHES: usize = 8;

/// Starts in one segment that are tried one by one; where there are more, one search over the whole text
/// is bounded better.
const MOST_STARTS: usize = 12;

fn is_word_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}

/// The line or sentence of `text` that `span` stands in.
pub(super) fn sentence_around(text: &str, span: &Range<usize>) -> Range<usize> {
    let ends = |(index, end): (usize, char)| {
        let behind = index + end.len_utf8();
        let is_end = end == '\n'
            || (matches!(end, '.' | '!' | '?')
                && text[behind..].chars().next().is_none_or(char::is_whitespace));
        is_end.then_some(behind)
    };
    let before = text.get(..span.start).unwrap_or_default();
    let start = before.char_indices().rev().find_map(ends).unwrap_or(0);
    let after = text.get(span.end..).unwrap_or_default();
    let end = after.char_indices().find_map(|(index, c)| ends((span.end + index, c))).unwrap_or(text.len());
    start..end
}

fn parse<T: serde::de::DeserializeOwned>(file: &'static str, text: &str) -> Result<T, RuleError> {
    toml::from_str(text).map_err(|source| RuleError::Parse { file, source: Box::new(source) })
}

/// The regular expression of a written pattern, and the literals that tell where it can match.
fn read_pattern(rule: &Rule, written: &str) -> Result<Reading, RuleError> {
    let faulty =
        |reason: String| RuleError::Pattern { rule: rule.id.clone(), pattern: written.to_owned(), reason };
    let written = expand(written);
    let hir = regex_syntax::Parser::new().parse(&written).map_err(|error| faulty(error.to_string()))?;
    let in_words = rule.scope.iter().any(|scope| !matches!(scope, Scope::LinkTarget | Scope::FileName));
    let reach = hir.properties().maximum_len().map(|longest| longest.saturating_add(1));
    let (anywhere, at_start) = (OnceLock::new(), OnceLock::new());
    let expression = Expression { written, in_words, reach, anywhere, at_start };
    Ok(Reading { expression, in_words, needs: needed_literals(&hir), beginnings: beginnings(&hir) })
}

impl Expression {
    /// Finds matches anywhere. An expression that is too large, which a test rules out for the table, has none.
    fn anywhere(&self) -> Option<&Regex> {
        let begin = if self.in_words { r"(?-u:\b{start-half})" } else { "" };
        self.anywhere.get_or_init(|| self.compile(begin)).as_ref()
    }

    /// Finds a match where the text begins; that a word begins there is for the caller to see.
    fn at_start(&self) -> Option<&Regex> {
        self.at_start.get_or_init(|| self.compile(r"\A")).as_ref()
    }

    fn compile(&self, begin: &str) -> Option<Regex> {
        let end = if self.in_words { r"(?-u:\b{end-half})" } else { "" };
        let written = format!("{begin}(?:{}){end}", self.written);
        RegexBuilder::new(&written).size_limit(PATTERN_SIZE).build().ok()
    }

    /// Adds the first matches in a text.
    fn matches(&self, text: &str, work: &mut Work, spans: &mut Vec<Range<usize>>) {
        let Some(regex) = self.anywhere() else { return };
        work.searches += 1;
        work.octets += text.len();
        spans.extend(regex.find_iter(text).take(MOST_MATCHES).map(|found| found.range()));
    }

    /// The same, given in ascending order the places at which alone a match can begin.
    fn matches_at(&self, text: &str, starts: &[usize], work: &mut Work, spans: &mut Vec<Range<usize>>) {
        let Some(regex) = self.at_start() else { return };
        let (mut behind, mut matches) = (0, 0);
        for &start in starts {
            let Some(rest) = text.get(start..) else { continue };
            if start < behind || matches == MOST_MATCHES {
                continue;
            }
            work.searches += 1;
            work.octets += self.reach.map_or(rest.len(), |reach| reach.min(rest.len()));
            if let Some(found) = regex.find(rest) {
                behind = start + found.end();
                matches += 1;
                spans.push(start..behind);
            }
        }
    }
}

/// Replaces our own words by the regular expressions they stand for.
fn expand(written: &str) -> String {
    const WORDS: [(&str, &str); 8] = [
        (
            "<reward>",
            r"(?: (?:up to |an? |a further |another |both )*(?:<money>|<pct>|\d+ points)(?: back| off| credit| bonus| cashback)?)?",
        ),
        (
            "<money>",
            r"(?:(?:[£€$₹¥]|us\$|a\$|s\$|rp\.?|idr|usd|gbp|eur|chf|rm) ?\d[\d.,]*(?: ?(?:k|rb|ribu|jt|juta|m|million|mn))?|\d[\d.,]*(?: ?(?:[£€$]|eur|euros?|gbp|usd|pounds?|dollars?|rupiah|ribu|rb|juta|chf|pence|cents?|p|¢)))",
        ),
        (
            "<pct>",
            r"(?:\d{1,3}(?:[.,]\d+)?|ten|twenty|fifty) ?(?:%|percent|per cent|persen|prozent|pour cent|por ciento)",
        ),
        ("<gap>", r"(?:[^.!?\n\t]|\.\d){0,40}?"),
        ("<g>", r"(?:[^.!?\n\t]|\.\d){0,15}?"),
        ("<num>", r"(?:\d+|two|three|four|five|six|ten|dua|tiga|lima|zwei|drei|deux|trois|dos|tres)"),
        (r"\d", "[0-9]"),
        (r"\w", "[0-9a-z_]"),
    ];
    // After the words above, which use them. Folded text is ASCII in the languages of the table, and
    // the Unicode classes are a hundred times larger.
    WORDS.iter().fold(written.to_owned(), |text, (word, meaning)| text.replace(word, meaning))
}

/// Octets of a literal that are looked for. More make the automaton too large for a processor's caches.
const LITERAL: usize = 6;

/// Literals that one set may have.
const MOST_LITERALS: usize = 64;

/// Sets of literals, of each of which every match of `hir` contains one at least.
fn needed_literals(hir: &Hir) -> Vec<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok().filter(|text| *text != " ");
            text.map(|text| vec![text.to_owned()]).into_iter().collect()
        }
        HirKind::Class(class) => characters(class).into_iter().collect(),
        HirKind::Capture(capture) => needed_literals(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => needed_literals(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().flat_map(needed_literals).collect(),
        HirKind::Alternation(branches) => {
            let rarest = |branch| needed_literals(branch).into_iter().max_by_key(|set| rarity(set));
            let sets: Option<Vec<_>> = branches.iter().map(rarest).collect();
            let all: Vec<String> = sets.into_iter().flatten().flatten().collect();
            if all.is_empty() || all.len() > MOST_LITERALS { Vec::new() } else { vec![all] }
        }
        _ => Vec::new(),
    }
}

/// Whether most texts hold the literal: then to look for it costs more than it spares.
fn is_everywhere(literal: &str) -> bool {
    literal.len() <= 2
        && literal
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'.' | b',' | b'-' | b'\''))
}

/// Literals one of which every match of `hir` begins with; none when that tells too little.
fn beginnings(hir: &Hir) -> Vec<String> {
    let looks_around = !hir.properties().look_set().is_empty();
    if looks_around || hir.properties().minimum_len().is_none_or(|shortest| shortest == 0) {
        return Vec::new();
    }
    let prefixes = Extractor::new().limit_total(100).extract(hir);
    let texts = prefixes.literals().into_iter().flatten();
    let texts: Option<Vec<&str>> =
        texts.map(|text| std::str::from_utf8(text.as_bytes()).ok().filter(|text| !text.is_empty())).collect();
    let mut texts = texts.unwrap_or_default();
    texts.sort_unstable();
    // A text is sorted behind its own beginnings.
    texts.dedup_by(|text, before| text.starts_with(*before));
    texts.into_iter().map(str::to_owned).collect()
}

/// The characters of a small class.
fn characters(class: &Class) -> Option<Vec<String>> {
    const MOST: usize = 10;
    let Class::Unicode(class) = class else { return None };
    let all = || class.ranges().iter().flat_map(|range| range.start()..=range.end());
    (all().take(MOST + 1).count() <= MOST).then(|| all().map(String::from).collect())
}

/// How much a set of literals tells: its shortest member, and how few there are.
fn rarity(set: &[String]) -> (usize, usize) {
    let shortest = set.iter().map(String::len).min().unwrap_or(0);
    (shortest.min(6), MOST_LITERALS.saturating_sub(set.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::normalise::{Folded, readable};

    fn place_of(rule: &Rule) -> PlaceKind {
        match rule.scope.first() {
            Some(Scope::Call) => PlaceKind::Button,
            Some(Scope::Subject) => PlaceKind::Subject,
            Some(Scope::LinkTarget) => PlaceKind::LinkTarget,
            Some(Scope::FileName) => PlaceKind::ImageFile,
            _ => PlaceKind::Html,
        }
    }

    #[test]
    fn every_pattern_compiles() {
        let table = RuleTable::built_in().expect("table");
        let patterns = table.patterns.iter().map(|pattern| &pattern.expression);
        for expression in patterns.chain(table.unless.iter().flatten()) {
            assert!(expression.anywhere().is_some(), "{}", expression.written);
            assert!(expression.at_start().is_some(), "{}", expression.written);
        }
    }

    #[test]
    fn every_example_in_the_table_holds() {
        let table = RuleTable::built_in().expect("table");
        let mut wrong = Vec::new();
        for (index, rule) in table.rules().iter().enumerate() {
            let fires = |text: &String| {
                let folded = Folded::new(&readable(text));
                table.hits(&folded.text, place_of(rule)).iter().any(|hit| hit.rule == index)
            };
            wrong.extend(rule.fires.iter().filter(|t| !fires(t)).map(|t| format!("{} misses: {t}", rule.id)));
            wrong.extend(
                rule.spares.iter().filter(|t| fires(t)).map(|t| format!("{} fires on: {t}", rule.id)),
            );
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_rule_is_documented() {
        let table = RuleTable::built_in().expect("table");
        let mut ids = std::collections::HashSet::new();
        for rule in table.rules() {
            assert!(ids.insert(&rule.id), "{} is there twice", rule.id);
            assert!(!rule.title.is_empty() && !rule.why.is_empty() && !rule.fires.is_empty(), "{}", rule.id);
            assert_eq!(
                rule.weight < 0.0,
                matches!(rule.counts_as, CountsAs::Context),
                "{}: only context weighs against promotion",
                rule.id
            );
        }
    }

    #[test]
    fn few_patterns_lack_a_literal() {
        let table = RuleTable::built_in().expect("table");
        assert!(
            table.always.len() * 20 <= table.patterns.len(),
            "{} of {}",
            table.always.len(),
            table.patterns.len()
        );
    }

    /// Whatever a text repeats, the expressions read each octet of it a bounded number of times.
    #[test]
    fn no_repeated_text_makes_more_than_bounded_work() {
        const OCTETS: usize = 1_400;
        const MOST_READINGS: usize = 100;
        let table = RuleTable::built_in().expect("table");
        let examples = table.rules().iter().flat_map(|rule| &rule.fires).map(String::as_str);
        let made =
            ["F R E E ", "spend £500 ", "5 5 5 % ", "get 20% ", "get get earn £5 ", "save up to ", "5% "];
        for text in examples.chain(made) {
            let repeated = format!("{text} ").repeat(OCTETS / text.len() + 1);
            let folded = Folded::new(&readable(&repeated)).text;
            let mut work = Work::default();
            table.hits_counted(&folded, PlaceKind::Html, &mut work);
            assert!(work.octets <= MOST_READINGS * folded.len(), "{text}: {work:?} of {}", folded.len());
            assert!(work.searches <= folded.len(), "{text}: {work:?} of {}", folded.len());
        }
    }

    #[test]
    fn literals_are_those_that_a_match_cannot_lack() {
        let table = RuleTable::built_in().expect("table");
        let needs = |written: &str| read_pattern(&table.rules[0], written).expect(written).needs;
        assert_eq!(needs("earn more rewards?"), [["earn more reward"]]);
        let both = needs("(?:save|spare) (?:money|[0-9]+ ?%)");
        assert_eq!(both, [["save", "spare"], ["money", "%"]]);
        assert!(needs(r"\w+").is_empty());
    }
}
