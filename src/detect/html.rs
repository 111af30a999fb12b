//! Cuts HTML into blocks, as a reader sees it and as he does not: paragraphs, headings, table rows,
//! buttons, links, alternative texts, link targets, image names and hidden text. One pass over
//! `html5gum`'s tokens, no tree, so depth costs nothing. Owns no decision about what a block means.

use std::collections::HashSet;

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::segment::PlaceKind;

/// A block of an HTML part, its text as in the source: white space not yet folded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub kind: PlaceKind,
    pub text: String,
}

/// Distinct link targets read per part.
const MAX_LINKS: usize = 500;
/// Conditional comments that a mail program from the Office family would show.
const MAX_CONDITIONAL: usize = 100;

/// Cuts an HTML part into blocks, in reading order; gives up, having read a part, after `limit` blocks.
pub(super) fn blocks(html: &str, limit: usize) -> Vec<Block> {
    let mut cutter = Cutter { limit, ..Cutter::default() };
    cutter.read(html, 0);
    cutter.end_block();
    cutter.blocks
}

#[derive(Default)]
struct Cutter {
    blocks: Vec<Block>,
    limit: usize,
    text: String,
    /// Letters and digits of `text` that stand in a link, and in all.
    linked: usize,
    lettered: usize,
    in_button: bool,
    heading: bool,
    title: bool,
    quotes: usize,
    link: Option<LinkStyle>,
    /// The element whose style hides what it holds, and how many of its name are open inside it.
    hidden: Option<(Vec<u8>, usize)>,
    seen_text: bool,
    /// The element whose text is code: style, script.
    code: Option<Vec<u8>>,
    targets: HashSet<String>,
    conditional: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkStyle {
    Plain,
    Button,
}

impl Cutter {
    fn read(&mut self, html: &str, depth: usize) {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(html, emitter) {
            if self.blocks.len() >= self.limit {
                return;
            }
            match token {
                Ok(Token::StartTag(tag)) => self.start(&tag),
                Ok(Token::EndTag(tag)) => self.end(&tag.name),
                Ok(Token::String(text)) => self.string(&String::from_utf8_lossy(&text)),
                Ok(Token::Comment(comment)) => self.comment(&comment, depth),
                Ok(Token::Doctype(_) | Token::Error(_)) => {}
                Err(never) => match never {},
            }
        }
    }

    fn start(&mut self, tag: &StartTag<()>) {
        let name: &[u8] = &tag.name;
        let attribute = |key: &str| {
            tag.attributes.get(key.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
        };
        if let Some((hiding, open)) = &mut self.hidden
            && hiding.as_slice() == name
            && !is_void(name)
        {
            *open += 1;
        }
        if matches!(name, b"style" | b"script") {
            self.code = Some(name.to_vec());
        }
        if is_block(name) {
            self.end_block();
        }
        if self.hidden.is_none() && !is_void(name) && hides(tag) {
            self.end_block();
            self.hidden = Some((name.to_vec(), 1));
        }
        match name {
            b"br" => self.text.push('\n'),
            b"td" | b"th" => self.text.push('\t'),
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => self.heading = true,
            b"title" => self.title = true,
            b"blockquote" => self.quotes += 1,
            b"a" | b"area" | b"button" | b"v:roundrect" => self.open_link(tag, attribute("href")),
            b"img" | b"v:image" => self.image(attribute("src"), attribute("alt")),
            b"input" if attribute("type").is_some_and(|t| t.eq_ignore_ascii_case("submit")) => {
                self.add(PlaceKind::Button, &attribute("value").unwrap_or_default());
            }
            b"form" => self.target(attribute("action")),
            _ => {}
        }
        for (key, kind) in [("title", PlaceKind::Tooltip), ("aria-label", PlaceKind::AltText)] {
            if let Some(text) = attribute(key) {
                self.add(kind, &text);
            }
        }
    }

    fn end(&mut self, name: &[u8]) {
        if self.code.as_deref() == Some(name) {
            self.code = None;
        }
        match name {
            b"a" | b"button" | b"v:roundrect" => {
                if self.in_button {
                    self.end_block();
                }
                self.link = None;
            }
            // A closing `</p>` or `</br>` breaks the line in every browser.
            b"br" => self.text.push('\n'),
            _ if is_block(name) => self.end_block(),
            _ => {}
        }
        if name == b"blockquote" {
            self.quotes = self.quotes.saturating_sub(1);
        }
        if let Some((hiding, open)) = &mut self.hidden
            && hiding.as_slice() == name
        {
            *open -= 1;
            if *open == 0 {
                self.end_block();
                self.hidden = None;
            }
        }
    }

    fn string(&mut self, text: &str) {
        if self.code.is_some() {
            return;
        }
        let letters = match text.is_ascii() {
            true => text.bytes().filter(u8::is_ascii_alphanumeric).count(),
            false => text.chars().filter(|c| c.is_alphanumeric()).count(),
        };
        self.lettered += letters;
        if self.link.is_some() {
            self.linked += letters;
        }
        // A line break in the source is but a space to the reader.
        let mut lines = text.split(['\n', '\r', '\t']);
        self.text.push_str(lines.next().unwrap_or_default());
        for line in lines {
            self.text.push(' ');
            self.text.push_str(line);
        }
    }

    /// `<!--[if mso]> .. <![endif]-->` is shown by some mail programs and by no other.
    fn comment(&mut self, comment: &[u8], depth: usize) {
        if depth > 0 || !comment.starts_with(b"[if") || self.conditional >= MAX_CONDITIONAL {
            return;
        }
        self.conditional += 1;
        let text = String::from_utf8_lossy(comment);
        if let Some((_, rest)) = text.split_once("]>") {
            self.end_block();
            let code = self.code.take();
            self.read(rest.trim_end_matches("<![endif]"), depth + 1);
            self.end_block();
            self.code = code;
        }
    }

    fn open_link(&mut self, tag: &StartTag<()>, href: Option<String>) {
        let button = looks_like_button(tag);
        if button {
            self.end_block();
        }
        self.in_button = button;
        self.link = Some(if button { LinkStyle::Button } else { LinkStyle::Plain });
        self.target(href);
    }

    fn image(&mut self, src: Option<String>, alt: Option<String>) {
        if let Some(alt) = alt {
            self.add(PlaceKind::AltText, &alt);
        }
        let Some(src) = src.filter(|src| !src.starts_with("data:")) else { return };
        let path = src.split(['?', '#']).next().unwrap_or_default();
        self.add(PlaceKind::ImageFile, path.rsplit('/').next().unwrap_or_default());
    }

    fn target(&mut self, href: Option<String>) {
        let Some(href) = href else { return };
        let href = href.trim();
        let leads_out = !href.is_empty() && !href.starts_with('#') && !href.starts_with("data:");
        if leads_out && self.targets.len() < MAX_LINKS && self.targets.insert(href.to_owned()) {
            self.add(PlaceKind::LinkTarget, href);
        }
    }

    fn add(&mut self, kind: PlaceKind, text: &str) {
        if !text.trim().is_empty() && self.blocks.len() < self.limit {
            self.blocks.push(Block { kind, text: text.to_owned() });
        }
    }

    fn end_block(&mut self) {
        let text = std::mem::take(&mut self.text);
        let is_link = self.lettered > 0 && self.linked * 10 >= self.lettered * 9;
        let has_text = self.lettered > 0;
        self.lettered = 0;
        self.linked = 0;
        let (heading, title) = (std::mem::take(&mut self.heading), std::mem::take(&mut self.title));
        let in_button = std::mem::take(&mut self.in_button);
        if !has_text {
            return;
        }
        let kind = match () {
            () if title => PlaceKind::Title,
            () if self.hidden.is_some() && !self.seen_text => PlaceKind::Preheader,
            () if self.hidden.is_some() => PlaceKind::Hidden,
            () if self.quotes > 0 => PlaceKind::Quoted,
            () if in_button => PlaceKind::Button,
            () if heading => PlaceKind::Heading,
            () if is_link && self.link != Some(LinkStyle::Button) => PlaceKind::Link,
            () => PlaceKind::Html,
        };
        self.seen_text |= self.hidden.is_none() && !title;
        // The rest of a heading or button that a line or block break cuts in two stays what it is.
        self.in_button = in_button && self.link == Some(LinkStyle::Button);
        self.add(kind, &text);
    }
}

fn is_block(name: &[u8]) -> bool {
    matches!(
        name,
        b"address"
            | b"article"
            | b"aside"
            | b"blockquote"
            | b"body"
            | b"caption"
            | b"center"
            | b"dd"
            | b"div"
            | b"dl"
            | b"dt"
            | b"fieldset"
            | b"figcaption"
            | b"figure"
            | b"footer"
            | b"form"
            | b"h1"
            | b"h2"
            | b"h3"
            | b"h4"
            | b"h5"
            | b"h6"
            | b"head"
            | b"header"
            | b"hr"
            | b"html"
            | b"legend"
            | b"li"
            | b"main"
            | b"nav"
            | b"ol"
            | b"option"
            | b"p"
            | b"pre"
            | b"section"
            | b"table"
            | b"tbody"
            | b"tfoot"
            | b"thead"
            | b"title"
            | b"tr"
            | b"ul"
    )
}

fn is_void(name: &[u8]) -> bool {
    matches!(
        name,
        b"area"
            | b"base"
            | b"br"
            | b"col"
            | b"embed"
            | b"hr"
            | b"img"
            | b"input"
            | b"link"
            | b"meta"
            | b"source"
            | b"track"
            | b"wbr"
    )
}

/// Whether the element's own style or attributes keep its text from the reader's eye.
fn hides(tag: &StartTag<()>) -> bool {
    if tag.attributes.contains_key(b"hidden".as_slice()) {
        return true;
    }
    let Some(style) = compact(tag, "style") else { return false };
    const HIDING: [&str; 11] = [
        "display:none",
        "visibility:hidden",
        "mso-hide:all",
        "opacity:0;",
        "opacity:0!",
        "font-size:1px",
        "max-height:0",
        "max-width:0",
        "text-indent:-9",
        "left:-9",
        "clip:rect(0",
    ];
    // `font-size:0` closes the gaps of a layout whose inner cells set a size again.
    let is_layout = matches!(tag.name.as_slice(), b"td" | b"th" | b"tr" | b"table")
        || style.contains("text-align")
        || style.contains("direction:");
    HIDING.iter().any(|hiding| style.contains(hiding))
        || style.ends_with("opacity:0")
        || (style.contains("font-size:0") && !is_layout)
}

fn looks_like_button(tag: &StartTag<()>) -> bool {
    let name: &[u8] = &tag.name;
    if matches!(name, b"button" | b"v:roundrect") || compact(tag, "role").is_some_and(|role| role == "button")
    {
        return true;
    }
    if compact(tag, "class").is_some_and(|class| ["btn", "button", "cta"].iter().any(|b| class.contains(b))) {
        return true;
    }
    compact(tag, "style")
        .is_some_and(|s| s.contains("background") && (s.contains("padding") || s.contains("border-radius")))
}

/// An attribute in lower case without white space.
fn compact(tag: &StartTag<()>, key: &str) -> Option<String> {
    let value = tag.attributes.get(key.as_bytes())?;
    Some(
        String::from_utf8_lossy(value)
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_ascii_lowercase())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::normalise::readable;

    fn cut(html: &str) -> Vec<(PlaceKind, String)> {
        blocks(html, 1000).into_iter().map(|block| (block.kind, readable(&block.text))).collect()
    }

    #[test]
    fn a_tag_inside_a_word_does_not_split_it() {
        assert_eq!(cut("<p>dis<b>co</b>unt&nbsp;now</p>"), [(PlaceKind::Html, "discount now".into())]);
    }

    #[test]
    fn blocks_rows_and_line_breaks() {
        assert_eq!(
            cut("<h1>Bill</h1><table><tr><td>Discount</td><td>-5.00</td></tr></table><p>one<br>two"),
            [
                (PlaceKind::Heading, "Bill".into()),
                (PlaceKind::Html, "Discount\t-5.00".into()),
                (PlaceKind::Html, "one\ntwo".into())
            ]
        );
    }

    #[test]
    fn hidden_text_is_kept_and_marked() {
        assert_eq!(
            cut(
                "<div style='Display : None'>20% off<div>inside</div></div><p>Bill</p><span hidden>more</span>"
            ),
            [
                (PlaceKind::Preheader, "20% off".into()),
                (PlaceKind::Preheader, "inside".into()),
                (PlaceKind::Html, "Bill".into()),
                (PlaceKind::Hidden, "more".into())
            ]
        );
    }

    #[test]
    fn links_buttons_and_images() {
        assert_eq!(
            cut("<p>See <a href='/help'>help</a>.</p><p><a class=btn href='/offers'>Go</a></p>\
                 <p><a href='/offers'>All</a></p><img src='https://x.example/a/sale.png?x' alt='Half price'>"),
            [
                (PlaceKind::LinkTarget, "/help".into()),
                (PlaceKind::Html, "See help.".into()),
                (PlaceKind::LinkTarget, "/offers".into()),
                (PlaceKind::Button, "Go".into()),
                (PlaceKind::Link, "All".into()),
                (PlaceKind::AltText, "Half price".into()),
                (PlaceKind::ImageFile, "sale.png".into()),
            ]
        );
    }

    #[test]
    fn code_is_no_text_and_conditional_comments_are() {
        assert_eq!(
            cut(
                "<style>p{color:red}</style><script>x='<p>no</p>'</script><!-- no --><!--[if mso]><p>yes</p><![endif]-->"
            ),
            [(PlaceKind::Html, "yes".into())]
        );
    }
}
