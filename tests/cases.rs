//! The cases from rulings and guidance, each as a whole message in our own words. M: marketing or
//! mixed, X: disguises, S: service, whatever words it is made of.

use std::sync::LazyLock;

use consentry::detect::{Class, Detector, Judgement};

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new().expect("rule table"));

fn judge(message: &str) -> Judgement {
    let message = message.replace('\n', "\r\n");
    DETECTOR.judge(message.as_bytes()).expect("verdict")
}

#[track_caller]
fn assert_service(message: &str) {
    let verdict = judge(message).verdict;
    assert_eq!(verdict.class, Class::Service, "score {}, {:#?}", verdict.score, verdict.evidence);
}

/// Promotional, and `words` are among the evidence.
#[track_caller]
fn assert_promotional(message: &str, words: &str) {
    let verdict = judge(message).verdict;
    assert!(verdict.class.is_promotional(), "score {}, {:#?}", verdict.score, verdict.evidence);
    let quoted = |quote: &str| quote.to_lowercase().contains(&words.to_lowercase());
    assert!(verdict.evidence.iter().any(|e| quoted(&e.quote)), "no `{words}` in {:#?}", verdict.evidence);
    assert!(verdict.evidence.iter().all(|e| !e.law.is_empty() && !e.title.is_empty()));
}

fn text(subject: &str, body: &str) -> String {
    format!(
        "From: Example <service@example.com>\nTo: ana@example.net\nSubject: {subject}\nMessage-ID: <1@example.com>\n\
         MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}\n"
    )
}

fn html(subject: &str, body: &str) -> String {
    format!(
        "From: Example <service@example.com>\nTo: ana@example.net\nSubject: {subject}\nMIME-Version: 1.0\n\
         Content-Type: text/html; charset=utf-8\n\n<html><body>{body}</body></html>\n"
    )
}

fn alternative(subject: &str, plain: &str, html: &str) -> String {
    format!(
        "From: Example <service@example.com>\nSubject: {subject}\nMIME-Version: 1.0\n\
         Content-Type: multipart/alternative; boundary=\"==b1\"\n\n--==b1\nContent-Type: text/plain; charset=utf-8\n\n\
         {plain}\n--==b1\nContent-Type: text/html; charset=utf-8\n\n{html}\n--==b1--\n"
    )
}

/// A card statement of our own, into which a case's sentence goes.
fn statement_with(sentence: &str) -> String {
    text(
        "Your May statement",
        &format!(
            "Dear Ms Silva,\n\nYour statement for May is ready in online banking. The closing balance is £120.10 and \
             the minimum payment of £25.00 is due on 14 June.\n\n{sentence}\n\nIf you do not recognise a transaction, \
             call the number on the back of your card.\n\nExample Bank plc, 1 High Street, London. Authorised by the \
             Prudential Regulation Authority."
        ),
    )
}

fn pesanan_with(sentence: &str) -> String {
    text(
        "Pesanan #1042 telah dikirim",
        &format!(
            "Halo Budi,\n\nPesanan Anda dengan nomor 1042 telah dikirim dan akan tiba pada hari Selasa.\n\
             Total pembayaran: Rp240.000\n\n{sentence}\n\nJika ada pertanyaan, balas email ini.\n\nTim Contoh"
        ),
    )
}

macro_rules! promotional {
    ($($name:ident: $message:expr, $words:expr;)*) => {
        $(#[test] fn $name() { assert_promotional(&$message, $words); })*
    };
}

macro_rules! service {
    ($($name:ident: $message:expr;)*) => {
        $(#[test] fn $name() { assert_service(&$message); })*
    };
}

promotional! {
    m01_spend_incentive: statement_with("Spend £500 by the end of July and get £50 back as a statement credit."), "Spend £500";
    m01_spend_incentive_id: pesanan_with("Belanja minimal Rp500.000 dan dapatkan cashback Rp50.000."), "Belanja minimal Rp500.000";
    m02_credit_towards_purchase: statement_with("We have a £5 credit towards a £10 or more purchase for you at Corner Coffee."), "£5 credit towards";
    m03_amex_2021_loaded_offers: text("Your card account", "Dear Ana,\n\nYour offers are loaded, ready to be redeemed. Sign in to see them."), "offers are loaded";
    m04_amex_2021_offers_tab: statement_with("Visit the Offers tab to discover savings near you."), "discover savings";
    m05_balance_as_bait: text("Your rewards summary", "Dear Ana,\n\nBefore you check your rewards points balance, explore the latest products and savings available this month."), "explore the latest products";
    m05_poin_id: pesanan_with("Anda memiliki 1.250 poin. Tukarkan poin Anda dengan hadiah menarik."), "Tukarkan poin";
    m06_referral: statement_with("You can earn even more rewards by referring friends and family."), "referring friends";
    m06_ajak_teman_id: pesanan_with("Ajak teman Anda belanja dan dapatkan bonus Rp20.000."), "Ajak teman";
    m07_app_push: statement_with("Download our app to see offers and manage your account."), "Download our app";
    m08_benefit_education: text("Getting the most out of your card: three places it pays to use it", "Dear Ana,\n\nYour card works in more places than you may think: at the supermarket, at the pump and on the train."), "Getting the most out of your card";
    m08_manfaat_id: text("Maksimalkan manfaat kartu Anda", "Halo Budi,\n\nKartu Anda bisa dipakai di lebih banyak tempat: supermarket, SPBU, dan kereta."), "Maksimalkan manfaat";
    m09_just_for_you: statement_with("Sign in today for award-winning offers just for you."), "offers just for you";
    m10_honda_2017_consent_asking: text("Would you like to hear from Honda?", "Dear Ana,\n\nOur records do not say whether we may write to you. Please choose below."), "Would you like to hear from Honda";
    m11_flybe_2017_prize_draw: text("Are your details correct?", "Dear Ana,\n\nPlease check that we hold the right details. Change them by 30 June and be entered in a prize draw."), "prize draw";
    m12_morrisons_2017_coupons: text("Your Account Details", "Dear Ana,\n\nYou have chosen not to get our e-mails. Go to your account and switch e-mails on to get money-off coupons, extra points and the latest news."), "money-off coupons";
    m13_public_scheme: text("Your boiler", "Dear Ana,\n\nThe government gives you up to £50 towards a boiler check. Book your free check with us before winter."), "Book your free check";
    m15_upgrade: text("About your contract", "Dear Ana,\n\nYou are due an upgrade: get the new phone from £29 a month."), "due an upgrade";
    m15_upgrade_id: text("Tentang paket Anda", "Halo Budi,\n\nSaatnya upgrade ke paket Premium, mulai dari Rp99.000 sebulan."), "upgrade ke paket";
    m16_renewal_push: text("Your contract ends soon", "Dear Ana,\n\nYour contract ends on 3 May. Great news: as a valued customer you qualify for our special price."), "as a valued customer";
    m17_cross_sell_in_statement: statement_with("Need more? Pre-approved loan up to £7,500, in your account today."), "Pre-approved";
    m17_pinjaman_id: pesanan_with("Butuh dana tambahan? Pinjaman hingga Rp50 juta, cair hari ini."), "Butuh dana";
    m18_win_back: text("It has been quiet", "Dear Ana,\n\nWe miss you. Here is 20% off."), "We miss you";
    m18_kangen_id: text("Apa kabar?", "Halo Budi,\n\nKami kangen kamu. Ini diskon 20% untuk belanja berikutnya."), "kangen";
    m19_basket: text("About your visit", "Dear Ana,\n\nYou left something behind. Complete your order before it is gone."), "left something behind";
    m19_keranjang_id: text("Kunjungan Anda", "Halo Budi,\n\nBarang di keranjangmu masih menunggu. Selesaikan pesanan sekarang."), "keranjang";
    m20_inteligo_paid_tier: text("Your morning digest", "Rail strike called off\n\nRate decision due on Thursday\n\nUnlock every article"), "Unlock every article";
    m21_aims_and_ideals: text("The river", "Dear Ana,\n\nThe otters are back, but the water is low. Help us save the river: donate today."), "donate today";
    m21_donasi_id: text("Kabar dari lapangan", "Halo Budi,\n\nBanjir belum surut. Yuk bantu sesama, donasi sekarang."), "donasi sekarang";
    m22_review_with_reward: text("Your purchase", "Dear Ana,\n\nRate your purchase and get 10% off your next."), "Rate your purchase and get";
    m23_event: text("Pensions in 2026", "Dear Ana,\n\nJoin our free webinar on Thursday at 18:00."), "webinar";
    m23_webinar_id: text("Belajar investasi", "Halo Budi,\n\nIkuti webinar gratis kami hari Kamis pukul 19.00."), "webinar gratis";
    m24_early_access: text("This weekend", "Dear Ana,\n\nMembers get early access this weekend."), "early access";
    m25_scarcity: text("The blue sofa", "Dear Ana,\n\nOnly 48 hours left: the blue sofa for only £499."), "Only 48 hours left";
    x02_terms_and_offer: text("Changes to your tariff", "Dear Ana,\n\nFrom 1 April the price of a unit changes from 24.5p to 25.1p.\n\nOr switch now and save 15% with our fixed tariff."), "save 15%";
    x03_postscript: text("Your sign-in code", "Your code is 482913. It works for ten minutes.\n\nP.S. refer a friend, get £10"), "refer a friend";
    x04_html_only: alternative("Your order 1042", "Your order 1042 is on its way.", "<p>Your order 1042 is on its way.</p><p>Enjoy 20% off your next order with code AGAIN20.</p>"), "20% off";
    x05_image_alt: html("Your order 1042", "<p>Your order 1042 is on its way.</p><img src='cid:1' alt='Summer sale: up to 50% off everything'>"), "Summer sale";
    x05_image_title: html("Your order 1042", "<p>Your order 1042 is on its way.</p><img src='cid:1' title='Refer a friend and get £10'>"), "Refer a friend";
    x05_image_name: html("Your order 1042", "<p>Your order 1042 is on its way.</p><img src='https://img.example.com/m/summer-sale-50-off.png' alt=''>"), "summer-sale-50-off";
    x06_hidden_preheader: html("Your order 1042", "<div style='display:none;max-height:0'>20% off inside</div><p>Your order 1042 is on its way.</p>"), "20% off";
    x07_links: html("Your order 1042", "<p>Your order 1042 is on its way.</p><a class='btn' href='https://example.com/offers'>Continue</a><a class='btn' href='https://example.com/shop?utm_campaign=summer'>Open</a>"), "/offers";
    x09_subject: text("50% off everything this weekend", "Dear Ana,\n\nYour order 1042 has shipped. Total £24.00."), "50% off";
    x10_order_of_body: text("Your receipt", "Save £20 on your next stay when you book before Sunday!\n\nReceipt 1042\nRoom £80.00\nTotal £80.00"), "Save £20";
    x13_indonesian: text("Info untuk Anda", "Halo Budi,\n\nNikmati diskon 20% untuk pesanan berikutnya."), "diskon 20%";
    x13_german: text("Ihre Karte", "Guten Tag,\n\njetzt bis zu 30 % sparen mit unserer neuen Karte."), "bis zu 30 %";
    x13_french: text("Votre compte", "Bonjour,\n\nProfitez de nos offres exclusives sur toute la gamme."), "Profitez de";
    x13_spanish: text("Su cuenta", "Hola,\n\nAproveche nuestras ofertas y ahorre un 20% en su próxima compra."), "20%";
    x14_service_words_hijacked: text("Action required: claim your reward", "Dear Ana,\n\nPlease sign in within 7 days."), "claim your reward";
    x14_penting_id: text("Penting: klaim hadiah Anda", "Halo Budi,\n\nSilakan masuk dalam 7 hari."), "klaim hadiah";
}

#[test]
fn m14_disclaimer_is_evidence_never_service() {
    let message =
        statement_with("This is a service message and does not affect your marketing opt-in status.");
    assert_promotional(&message, "does not affect your marketing opt-in status");
}

#[test]
fn m14_the_plain_claim_alone_does_not_turn_a_receipt() {
    assert_service(&statement_with("This is a service message."));
    let with = |claim| {
        judge(&statement_with(&format!("Visit the Offers tab to discover savings.{claim}"))).verdict.score
    };
    assert!(with("\n\nThis is a service message.") > with(""), "the claim raises suspicion");
}

#[test]
fn x01_receipt_with_recommendations_is_mixed() {
    let message = html(
        "Your order 1042",
        "<h1>Thank you for your order</h1><table><tr><td>Kettle</td><td>£24.00</td></tr><tr><td>Total</td><td>£24.00</td></tr></table>\
         <h2>Customers also bought</h2><p>Toaster £19</p><a class='button' href='https://example.com/p/2'>Shop now</a>",
    );
    let verdict = judge(&message).verdict;
    assert_eq!(verdict.class, Class::Mixed, "{:#?}", verdict.evidence);
    assert_promotional(&message, "Customers also bought");
    assert!(verdict.evidence.iter().any(|e| e.quote == "Shop now" && e.place.to_string() == "button 1"));
}

#[test]
fn x08_attachment_named_for_offers_is_evidence() {
    let message = "From: Example <service@example.com>\nSubject: Your documents\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nDear Ana, please find the document attached.\n\
         --b\nContent-Type: application/pdf\nContent-Disposition: attachment; filename=\"summer-offers.pdf\"\n\nJVBERi0xLjQK\n--b--\n";
    assert_promotional(message, "summer-offers.pdf");
}

/// One sentence, many disguises, one class.
#[test]
fn x11_disguises_change_nothing() {
    let receipt = "Your order 1042 is on its way. Total £24.00.";
    let disguised = [
        ("plain", text("Your order 1042", &format!("{receipt}\n\nGet 20% off your next discount order"))),
        ("look-alike digits", text("Your order 1042", &format!("{receipt}\n\nGet 20% 0FF your next order"))),
        (
            "zero-width",
            text("Your order 1042", &format!("{receipt}\n\nGet 20% o\u{200b}f\u{200d}f your next order")),
        ),
        (
            "soft hyphen",
            text("Your order 1042", &format!("{receipt}\n\nGet 20% of\u{ad}f your ne\u{ad}xt order")),
        ),
        ("Cyrillic", text("Your order 1042", &format!("{receipt}\n\nGеt 20% оff yоur nехt оrdеr"))),
        ("Greek", text("Your order 1042", &format!("{receipt}\n\nGet 20% οff yουr next οrder"))),
        (
            "full width",
            text("Your order 1042", &format!("{receipt}\n\nＧｅｔ ２０％ ｏｆｆ your next order")),
        ),
        ("mathematical", text("Your order 1042", &format!("{receipt}\n\n𝗚𝗲𝘁 𝟮𝟬% 𝗼𝗳𝗳 your next order"))),
        ("accents", text("Your order 1042", &format!("{receipt}\n\nGét 20% öff yóur next order"))),
        (
            "tags",
            html(
                "Your order 1042",
                &format!("<p>{receipt}</p><p>Get 20% o<b></b>f<i>f</i> your ne<span>xt</span> order</p>"),
            ),
        ),
        (
            "comments",
            html("Your order 1042", &format!("<p>{receipt}</p><p>Get 20% o<!-- x -->ff your next order</p>")),
        ),
        (
            "entities",
            html(
                "Your order 1042",
                &format!("<p>{receipt}</p><p>Get 20&#37; &#111;&#x66;f your next order</p>"),
            ),
        ),
        (
            "zero-width entities",
            html(
                "Your order 1042",
                &format!("<p>{receipt}</p><p>Get 20% o&zwnj;ff&shy; your next order</p>"),
            ),
        ),
        ("encoded word", text("=?utf-8?q?Get_20%_o?= =?utf-8?b?ZmYgeW91ciBuZXh0IG9yZGVy?=", receipt)),
    ];
    for (how, message) in disguised {
        let verdict = judge(&message).verdict;
        assert!(verdict.class.is_promotional(), "{how}: {verdict:#?}");
    }
}

#[test]
fn x11_encodings_change_nothing() {
    let bodies = [
        (
            "quoted-printable",
            "utf-8",
            "quoted-printable",
            "Your order 1042 is on its way.=0D=0A=0D=0AGet 20% =6F=\nff your next order\n",
        ),
        (
            "base64",
            "utf-8",
            "base64",
            "WW91ciBvcmRlciAxMDQyIGlzIG9uIGl0cyB3YXkuCgpHZXQgMjAlIG9mZiB5b3VyIG5leHQgb3JkZXIK\n",
        ),
        (
            "base64 with noise",
            "utf-8",
            "base64",
            "WW91ciBvcmRlciAxMDQyIGlzIG9uIGl0cyB3YXkuCgpH!ZXQgMjAlIG9mZiB5b3Vy*IG5leHQgb3JkZXI\n",
        ),
        ("UTF-7", "utf-7", "7bit", "Your order 1042 is on its way.\n\nGet 20+ACU- +AG8-ff your next order\n"),
        (
            "wrong charset",
            "koi8-r",
            "8bit",
            "Your order 1042 is on its way.\n\nGet 20% off your next order\n",
        ),
        (
            "unknown charset",
            "x-unknown",
            "7bit",
            "Your order 1042 is on its way.\n\nGet 20% off your next order\n",
        ),
    ];
    for (how, charset, encoding, body) in bodies {
        let message = format!(
            "Subject: Your order 1042\nMIME-Version: 1.0\nContent-Type: text/plain; charset={charset}\n\
             Content-Transfer-Encoding: {encoding}\n\n{body}"
        );
        let verdict = judge(&message).verdict;
        assert!(verdict.class.is_promotional(), "{how}: {verdict:#?}");
    }
}

#[test]
fn x11_padding_changes_nothing() {
    let padding =
        "The meter was read on the third of the month and the reading is shown on page two. ".repeat(2_500);
    let message = text("Your bill", &format!("{padding}\n\nRefer a friend, get £10.\n\n{padding}"));
    assert_promotional(&message, "Refer a friend");
}

#[test]
fn x12_a_customer_who_quotes_our_promotion_is_answered() {
    assert_service(&text(
        "Re: Ticket 881: wrong price",
        "Dear Ana,\n\nYou are right, the till did not take the reduced price. We have refunded £4.80 to your card.\n\n\
         On Monday, Ana Silva wrote:\n> I bought the lamp because your mail said:\n>\n> > Summer sale: 20% off all lamps this weekend only\n>\n\
         > but I paid the full price.\n",
    ));
}

#[test]
fn x15_the_senders_label_never_wins() {
    let message = text("Your account", "Dear Ana,\n\nHere is 20% off your next order.");
    let labelled =
        format!("X-Message-Class: transactional\nPrecedence: transactional\nX-Category: service\n{message}");
    let (plain, labelled) = (judge(&message).verdict, judge(&labelled).verdict);
    assert!(labelled.class.is_promotional());
    assert!(labelled.score >= plain.score);
}

service! {
    s01_order: text("Your order 1042", "Hello Ana,\n\nThank you for your order 1042.\n\nKettle, steel   £24.00\nDelivery   £0.00\nTotal £24.00\n\nWe will write again when it ships.");
    s01_pesanan_id: text("Konfirmasi pesanan #1042", "Halo Budi,\n\nTerima kasih atas pesanan Anda.\n\nKetel baja: Rp240.000\nOngkos kirim: Rp12.000\nTotal: Rp252.000");
    s02_shipping: text("Your parcel arrives Tuesday", "Hello Ana,\n\nYour parcel arrives Tuesday between 10:00 and 14:00. Track it with number GB1234.");
    s02_paket_id: text("Paket Anda tiba hari Selasa", "Halo Budi,\n\nPaket Anda dengan nomor resi JK1234 akan tiba hari Selasa antara pukul 10.00 dan 14.00.");
    s03_statement: statement_with("Your next statement will be ready on 30 June.");
    s04_payment_failed: text("Your Direct Debit was returned", "Dear Ms Silva,\n\nYour Direct Debit of £31.00 was returned by your bank on 3 May. Please pay by 17 May so that your service is not interrupted.");
    s04_pembayaran_gagal_id: text("Pembayaran Anda gagal", "Halo Budi,\n\nPembayaran tagihan sebesar Rp310.000 gagal diproses. Mohon lakukan pembayaran sebelum 17 Mei.");
    s05_one_time_code: text("Your code is 123456", "Your code is 123456. It works for ten minutes. Never share it with anyone, not even with us.");
    s05_reset: text("Reset your password", "Hello Ana,\n\nWe received a request to reset your password. Use the link below within the next 2 hours. If it was not you, ignore this message.\n\nhttps://example.com/reset/abc");
    s05_kode_id: text("Kode verifikasi Anda", "Kode verifikasi Anda adalah 123456. Kode ini berlaku selama 10 menit. Jangan berikan kode ini kepada siapa pun.");
    s06_recall: text("Stop using the charger sold in March", "Dear Ana,\n\nStop using the charger sold in March with lamp L20. It may overheat. We will replace it free of charge: bring it to any of our shops, or call us and we will collect it.");
    s06_breach: text("Your data", "Dear Ana,\n\nOn 3 May somebody outside our company had access to your name and e-mail address. Passwords and payment details were not affected. We have closed the gap and told the regulator.");
    s07_rate_change: text("Your annual rate changes", "Dear Ms Silva,\n\nFrom 1 April the annual rate on purchases changes from 22.9% to 23.9%. If you do not agree, you can close your account before then and repay the balance at the old rate.");
    s07_perubahan_id: text("Perubahan suku bunga", "Halo Budi,\n\nMulai 1 April suku bunga tahunan berubah dari 22,9% menjadi 23,9%. Jika Anda tidak setuju, Anda dapat menutup rekening sebelum tanggal tersebut.");
    s08_interruption: text("Maintenance on Sunday", "Dear customer,\n\nOn Sunday between 02:00 and 04:00 online banking is not available because of maintenance. Cards keep working.");
    s09_contract_end_neutral: text("Your contract ends on 3 May", "Dear Ana,\n\nYour contract ends on 3 May. Your price will be £31 a month from then on. You can stay, change or leave; you need not do anything to stay. You will find all our tariffs on our website, and those of other companies on comparison sites.");
    s10_arrears_help: text("About your payments", "Dear Ana,\n\nYou have missed two payments and owe £62.00. If you are struggling, call us on 0800 123 456 or get free and independent advice from a debt charity. We can agree smaller payments.");
    s11_discount_as_fact: html("Invoice 1042", "<h1>Invoice 1042</h1><table><tr><td>Lamp</td><td>£50.00</td></tr><tr><td>Discount applied (10% off)</td><td>-£5.00</td></tr><tr><td>VAT 20%</td><td>£9.00</td></tr><tr><td>Total</td><td>£54.00</td></tr></table>");
    s11_discount_as_fact_text: text("Invoice 1042", "Invoice 1042\n\nLamp £50.00\nDiscount applied: -£5.00\nPromo code SPRING10: -£4.50\nTotal: £40.50");
    s11_diskon_id: text("Invoice 1042", "Invoice 1042\n\nLampu: Rp500.000\nDiskon: -Rp50.000\nTotal pembayaran: Rp450.000");
    s12_credit_as_fact: text("The outage on 3 May", "Dear Ana,\n\nWe credited £5 to your account after the outage on 3 May. You need not do anything.");
    s13_branding: html("Your order 1042", "<a href='https://example.com/'><img src='https://example.com/logo.png' alt='Example: home made well'></a><p>Your order 1042 has shipped.</p><p><a href='https://example.com/'>Visit our website</a></p><a href='https://facebook.com/example'><img src='fb.png' alt='Facebook'></a><a href='https://instagram.com/example'><img src='ig.png' alt='Instagram'></a><p>Follow us</p>");
    s14_unsubscribe_present: format!("List-Unsubscribe: <https://example.com/u/1>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n{}", text("Your receipt", "Receipt 1042\n\nKettle £24.00\nTotal £24.00\n\nTo unsubscribe from these e-mails, follow https://example.com/u/1"));
    s15_mr_sale: text("Your appointment, Mr Sale", "Dear Mr Sale,\n\nYour appointment with Dr Deal is on Monday at 09:20 in room 4.");
    s15_free_range_eggs: text("Your order 77", "Thank you for your order 77.\n\nFree Range Eggs, 12: £3.20\nSave the Bees Honey: £5.10\nTotal: £8.30");
    s15_offer_of_employment: text("Offer of employment", "Dear Ana,\n\nWe are pleased to confirm our offer of employment as a welder from 1 June. The salary is £31,000. Please sign and return the attached letter by 15 May.");
    s15_offer_on_the_house: text("Your offer on the house", "Dear Ana,\n\nThe seller has accepted your offer on the house at 4 Mill Lane. We have marked the sale as agreed and will send the contract to your solicitor.");
    s15_special_needs: text("Meeting about support at school", "Dear Ms Silva,\n\nWe would like to talk about your son's special educational needs plan on Monday at 15:00.");
    s15_deal_id: text("Deal ID 4411", "Trade confirmation\n\nDeal ID: 4411\nBuy USD 10,000 against GBP at 1.2711\nValue date: 5 May");
    s16_free_as_fact: text("Your order 1042", "Thank you for your order.\n\nLamp: £50.00\nDelivery: free\nTotal: £50.00");
    s16_gratis_id: text("Pesanan 1042", "Terima kasih atas pesanan Anda.\n\nLampu: Rp500.000\nOngkos kirim: gratis\nTotal: Rp500.000");
    s17_legal_right: text("Your policy documents", "Dear Ana,\n\nYour policy started on 3 May. You have 14 days to cancel and get your money back. The documents are attached.");
    s18_appointment: text("Your appointment on Monday", "Dear Ana,\n\nYour appointment with the dentist is on Monday at 10:40. If you cannot come, please tell us a day before.");
    s18_ticket_reply: text("Re: Ticket 881", "Hello Ana,\n\nThe invoice was sent to your old address; I have changed it and sent it again. Tell me if it does not arrive by Friday.\n\nSam, Example Support");
    s18_download: text("Your download is ready", "Hello Ana,\n\nThank you for your purchase of \"Garden Birds\". Download it here within 30 days: https://example.com/d/abc. Your licence key is 1234-ABCD.");
    s19_points_alone: text("Your points", "Dear Ana,\n\nYou have 1,250 points. Points earned in May: 140.");
    s19_poin_id: text("Poin Anda", "Halo Budi,\n\nAnda memiliki 1.250 poin. Poin yang didapat pada bulan Mei: 140.");
    s20_data_use_alert: text("You have used 80% of your allowance", "Dear Ana,\n\nYou have used 80% of your allowance of 10 GB. Extra use is charged at £1.50 per GB. Your allowance starts again on 1 June.");
}

#[test]
fn s19_with_an_urge_to_spend_is_promotional() {
    assert_promotional(
        &text("Your points", "You have 1,250 points. Spend them in our store this weekend."),
        "Spend them in our store",
    );
}

#[test]
fn s20_with_an_upgrade_is_promotional() {
    assert_promotional(
        &text(
            "You have used 80% of your allowance",
            "You have used 80% of your allowance. Upgrade to unlimited and stop counting.",
        ),
        "Upgrade to unlimited",
    );
}
