//! What judging costs: `cargo bench --bench judge`. The stages of a 30 KB HTML message one by one, whole
//! messages of several sizes, a campaign, and inputs of doubling size, whose times must double, too.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use consentry::detect::{Detector, stages};
use divan::{Bencher, black_box, counter::BytesCount};

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new().expect("the built-in rules"));
static SEED: AtomicU64 = AtomicU64::new(1);

fn main() {
    divan::main();
}

/// Words of service mail and of offers, without an order.
const WORDS: &str = "account order invoice payment update delivery team project report meeting schedule \
    customer service question answer details attached please review confirm available next week month price \
    offer season summer garden kitchen recipe travel booking flight hotel room street office number address \
    contact support request change policy privacy notice member subscription article read more view product \
    quality colour size small large medium warranty return refund shipping parcel tracking status complete \
    pending received thank regards best kind hello dear friend the a to of and in for on with your our is are \
    was will can has have this that from by at as it we you they or but if when which";

/// Numbers without an order (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }

    fn sentence(&mut self, words: &[&str]) -> String {
        let count = 7 + self.next() % 11;
        let chosen: Vec<_> = (0..count).map(|_| words[self.next() as usize % words.len()]).collect();
        chosen.join(" ") + ". "
    }
}

/// A multipart/alternative message of about `size` octets; `personal` stands in its greeting only.
fn newsletter(size: usize, seed: u64, personal: u64) -> Vec<u8> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut numbers = Numbers(seed);
    let mut text = format!("Dear customer {personal},\r\n\r\n");
    let mut html = format!(
        "<!DOCTYPE html><html><head><title>Your news</title><style>body{{margin:0}}</style></head><body>\
         <p style=3D\"margin:0\">Dear customer {personal},</p><table>\r\n"
    );
    while text.len() + html.len() < size {
        let (head, body) =
            (numbers.sentence(&words), (0..3).map(|_| numbers.sentence(&words)).collect::<String>());
        let link = format!("https://www.shop.example/c/{:x}?u=3D{:x}", numbers.next(), numbers.next());
        html.push_str(&format!(
            "<tr><td class=3D\"col\" style=3D\"padding:16px 24px;border-bottom:1px solid #dddddd\">=\r\n\
             <h2 style=3D\"color:#333333;font-size:20px;line-height:26px\">{head}</h2>=\r\n\
             <img src=3D\"https://img.shop.example/{:x}.jpg\" width=3D\"552\" alt=3D\"{head}\" style=3D\"display:block\">=\r\n\
             <p style=3D\"color:#555555;font-size:15px;line-height:22px;margin:12px 0\">Gr=C3=B6=C3=9Fe: {body}</p>=\r\n\
             <a class=3D\"btn\" href=3D\"{link}\">Read more</a></td></tr>\r\n",
            numbers.next()
        ));
        if text.len() < size / 5 {
            text.push_str(&format!("{head}\r\n\r\n{body}\r\n\r\n{link}\r\n"));
        }
    }
    format!(
        "From: Shop <shop@shop.example>\r\nSubject: {}\r\nMessage-ID: <{seed}.{personal}@shop.example>\r\n\
         Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n{text}\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n{html}</table></body></html>\r\n--b--\r\n",
        numbers.sentence(&words)
    )
    .into_bytes()
}

/// A message of one plain text.
fn plain(size: usize, seed: u64) -> Vec<u8> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut numbers = Numbers(seed);
    let mut message = String::from("Subject: Your account\r\n\r\nDear customer,\r\n\r\n");
    while message.len() < size {
        message.push_str(&format!("{}\r\n", numbers.sentence(&words)));
        if numbers.next().is_multiple_of(4) {
            message.push_str("\r\n");
        }
    }
    message.into_bytes()
}

fn fresh() -> u64 {
    SEED.fetch_add(1, Ordering::Relaxed)
}

const PAGE: usize = 30 << 10;

/// One after the other, of a 30 KB HTML message.
mod stage {
    use super::*;

    #[divan::bench]
    fn parse(bencher: Bencher) {
        bencher
            .with_inputs(|| newsletter(PAGE, fresh(), 0))
            .bench_local_refs(|message| stages::parse(black_box(message)));
    }

    #[divan::bench]
    fn segment(bencher: Bencher) {
        bencher
            .with_inputs(|| stages::parse(&newsletter(PAGE, fresh(), 0)))
            .bench_local_refs(|parsed| stages::segment(black_box(parsed)));
    }

    #[divan::bench]
    fn normalise(bencher: Bencher) {
        bencher
            .with_inputs(|| stages::segment(&stages::parse(&newsletter(PAGE, fresh(), 0))))
            .bench_local_refs(|segments| stages::normalise(black_box(segments)));
    }

    #[divan::bench]
    fn normalise_and_rules(bencher: Bencher) {
        bencher
            .with_inputs(|| stages::segment(&stages::parse(&newsletter(PAGE, fresh(), 0))))
            .bench_local_refs(|segments| stages::rules(&DETECTOR, black_box(segments)));
    }

    #[divan::bench]
    fn model(bencher: Bencher) {
        bencher
            .with_inputs(|| {
                let segments = stages::segment(&stages::parse(&newsletter(PAGE, fresh(), 0)));
                let found = stages::rules(&DETECTOR, &segments);
                let sums = stages::sums(&DETECTOR, &segments, &found);
                (segments, found, sums)
            })
            .bench_local_refs(|(segments, found, sums)| stages::model(&DETECTOR, segments, found, sums));
    }
}

/// Whole messages.
mod judge {
    use super::*;

    fn whole(bencher: Bencher, message: impl Fn() -> Vec<u8>) {
        let _ = DETECTOR.judge(&message());
        bencher
            .counter(BytesCount::new(message().len()))
            .with_inputs(message)
            .bench_local_refs(|message| DETECTOR.judge(black_box(message)).is_ok());
    }

    #[divan::bench]
    fn text_2_kb(bencher: Bencher) {
        whole(bencher, || plain(2 << 10, fresh()));
    }

    #[divan::bench]
    fn html_30_kb_distinct(bencher: Bencher) {
        whole(bencher, || newsletter(PAGE, fresh(), 0));
    }

    #[divan::bench]
    fn html_30_kb_campaign(bencher: Bencher) {
        whole(bencher, || newsletter(PAGE, 0, fresh()));
    }

    #[divan::bench(args = [16, 32, 64, 128, 256, 512, 1024], sample_count = 20)]
    fn html_doubling_kb(bencher: Bencher, kib: usize) {
        whole(bencher, || newsletter(kib << 10, fresh(), 0));
    }

    #[divan::bench(sample_count = 20)]
    fn attachment_1_mb(bencher: Bencher) {
        whole(bencher, || {
            let start = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nDear customer, your invoice.\r\n--b\r\n\
                Content-Type: application/pdf; name=invoice.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n";
            let line = format!("{}\r\n", "QUJD".repeat(19));
            format!("{start}{}--b--\r\n", line.repeat((1 << 20) / line.len())).into_bytes()
        });
    }
}
