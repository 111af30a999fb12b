//! Single paragraphs, as the body of a short mail: neutral ones full of words that sellers use, and
//! promotion that comes softly. Written before the rules were looked at again; a sentence that a rule
//! gets wrong stays here when the rule is mended.

use std::sync::LazyLock;

use consentry::detect::Detector;

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new().expect("rule table"));

fn score(sentence: &str) -> f32 {
    let message =
        format!("Subject: Example\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{sentence}\r\n");
    DETECTOR.judge(message.as_bytes()).expect("verdict").verdict.score
}

const NEUTRAL: &[&str] = &[
    // Banking, cards, insurance
    "Your savings account pays 3.1% from 1 June. It paid 3.4% before.",
    "You saved £12.40 with your travel card in May. This is shown on page 2.",
    "We have waived the £25 fee because the transfer was late through our fault.",
    "Your cashback of £14.20 for April was paid into your account on 3 May.",
    "Your loan application was approved. £7,500 will be in your account by Thursday.",
    "Please activate your new card before 30 June. Your old card stops working that day.",
    "A payment of £499.00 at Best Deals Ltd was declined because the daily limit was reached.",
    "Your overdraft limit is £500. The rate is 39.9% EAR (variable). Representative example attached.",
    "We are closing the branch in Mill Street on 1 July. You can use the Post Office free of charge.",
    "Your home insurance renews on 3 May. The price is £212.40; last year it was £198.10. You can compare it with other insurers.",
    "Your no-claims discount is now 4 years. We need proof of it from your last insurer.",
    "Your mortgage deal ends on 31 August. From then on the rate will be our standard variable rate of 7.2%.",
    "To claim, call us on 0800 123 456 and have your policy number ready.",
    "The exchange rate was 1.17. You sent £200.00 and Maria receives €234.00.",
    "Your dividend of 4.2p a share will be paid on 3 June.",
    "You redeemed 2,000 points for a £10 voucher on 3 May. If this was not you, call us.",
    "Your points balance is 1,250. 300 points expire on 30 June.",
    "We will never ask you to move your money to a safe account or to buy gift cards.",
    "A gift card of £25 was added to your account. Balance: £25.00.",
    // Telecom, energy
    "Your new router is on its way. Plug it in when the old one stops working.",
    "Your fixed price ends on 30 September. You can choose another tariff or do nothing and move to our standard tariff.",
    "Engineers will upgrade the mast in your street on Monday. Calls may drop between 09:00 and 12:00.",
    "You have used all your data. You cannot go online until 1 June unless you change your settings.",
    "Your bill is £8.12 lower than last month because you used less gas.",
    "The Warm Home Discount of £150 was paid to your account on 3 May.",
    "Please submit a meter reading by Friday so that your bill is right.",
    "Prices go up by 3.9% on 1 April as your contract says. You may leave without a fee until 30 April.",
    // Retail, delivery
    "Thank you for shopping with us. Your receipt is attached.",
    "Your order has shipped! Good news: it left our warehouse today and arrives on Thursday.",
    "We could not deliver your parcel today. We will try again tomorrow before 12:00.",
    "The lamp you ordered is out of stock. We cancelled it and refunded £31.00.",
    "You can return items within 30 days at any of our shops, free of charge.",
    "Your order qualified for free delivery. Postage: £0.00",
    "Promotional code WELCOME10 was applied: you saved £4.00 on this order.",
    "Your gift was delivered to Ana Silva at 10:20.",
    "The item you sold, \"Summer dress, size 12\", was bought by maria22. Please post it by Tuesday.",
    "You placed the highest bid for \"Oak table\": £120.00. Please pay within 4 days.",
    "Your pre-order of \"Garden Birds\" will be posted on 3 June.",
    "The product you bought, Toaster T2, has been recalled. Stop using it and contact us for a free replacement.",
    "Buy 1 lamp L20: £31.00. Quantity: 1. Gift wrap: yes. Total: £31.00",
    // Travel
    "Your flight EX123 on 3 May leaves at 10:40 instead of 09:55. You may change to another flight free of charge.",
    "Check-in is open for your flight to Lisbon. Your boarding pass is attached.",
    "Your booking is confirmed: 2 nights, room with sea view, breakfast included, £180.00.",
    "Your train is cancelled. Your ticket is valid on the next train, and you can claim your money back.",
    "Please add your passport details before 1 June. You can do this in the app.",
    "Your seat is 14C. Special assistance is booked from the entrance.",
    // Health, public sector, education
    "You are invited for a free NHS health check. Please call the surgery to book a time.",
    "Your free prescription certificate ends on 3 May. Apply again if you are still entitled to it.",
    "Register to vote by 18 April if you have moved since the last election.",
    "Your Council Tax for 2026 is £1,812.40. A discount of 25% was taken off because you live alone.",
    "Your child has been offered a place at Hill School. Please accept the offer by 15 May.",
    "You have an unconditional offer to study Biology. Reply by 6 June or the offer lapses.",
    "Your library books are due on Friday. You can renew them online.",
    "The exam is on Monday at 09:00. Bring your student card and a pen.",
    "Your appointment letter: vaccination on 3 May at 11:10, free of charge.",
    // Software, accounts
    "Your trial ended yesterday and your account is now read-only. Your data is kept for 30 days.",
    "Your plan renews on 3 May for $24.00. To cancel, go to Settings, Billing.",
    "Your storage is full. New mail will not arrive until you delete something.",
    "Maria shared \"Spring campaign budget\" with you.",
    "Sam mentioned you in \"Free trial landing page\": can you look at the price?",
    "Version 2.4 fixes the security fault CVE-2026-1234. Please upgrade to 2.4 as soon as you can.",
    "Your export is ready. Download it within 24 hours.",
    "Welcome to Example. Your user name is ana22. Sign in and set a password to get started.",
    "Please confirm your e-mail address to activate your account.",
    "You changed your marketing preferences on 3 May: newsletter off, post off.",
    "You have unsubscribed and will no longer receive offers and news from us.",
    "The price of the Team plan changes from $8 to $9 per user on 1 July. You can cancel before then.",
    "Need more help? Reply to this e-mail and our support team will answer within a day.",
    "We updated our terms. Section 4 now says how special offers and vouchers are treated. The old terms are online.",
    "Your API key expires in 7 days. Create a new one in the dashboard to avoid interruption.",
    "Your invoice for May is attached: 3 seats at $12.00, discount 10%, total $32.40.",
    // Work
    "Your payslip for May is ready. It shows your bonus of £400.00.",
    "Please complete the staff survey by Friday. It takes ten minutes and is anonymous.",
    "The sales meeting moved to 15:00. Bring the discount figures for the summer sale.",
    "Your shift on Saturday was taken by Sam. Enjoy the weekend.",
    "We would like to invite you to an interview on Monday at 10:00.",
    // Charity, clubs
    "Thank you for your donation of £20. With it we bought blankets. Your receipt for the tax office is attached.",
    "Your membership fee of £40 is due on 1 June and will be taken by Direct Debit.",
    // Indonesian
    "Diskon 10% sudah termasuk dalam total pembayaran Anda sebesar Rp450.000.",
    "Pembayaran Anda sebesar Rp240.000 telah kami terima. Terima kasih.",
    "Voucher Rp20.000 telah digunakan pada pesanan 1042.",
    "Paket data Anda tersisa 1 GB dan berlaku sampai 5 Mei.",
    "Masa berlaku kartu Anda berakhir pada bulan Juni. Kartu baru sedang dikirim.",
    "Transaksi di Toko Promo Jaya sebesar Rp150.000 ditolak karena saldo tidak cukup.",
    "Yuk, cek status pesananmu di menu Pesanan Saya. Paket sudah sampai di gudang Bandung.",
    "Kode ini hanya berlaku 10 menit. Jangan bagikan kepada siapa pun, termasuk pihak bank.",
    "Mulai 1 Juli biaya admin menjadi Rp15.000 per bulan. Sebelumnya Rp12.500.",
    "Dana Rp500.000 sudah kami kembalikan ke rekening Anda karena barang habis.",
    "Segera lakukan pembayaran sebelum 5 Mei agar layanan tidak terputus.",
    "Permohonan pinjaman Anda disetujui. Dana Rp5.000.000 akan cair hari Kamis.",
    "Poin Anda: 1.250. Sebanyak 300 poin akan hangus pada 30 Juni.",
    "Selamat datang di Contoh. Silakan verifikasi email Anda untuk mengaktifkan akun.",
    "Kami melakukan pemeliharaan sistem pada hari Minggu pukul 02.00 sampai 04.00.",
    "Terima kasih telah berbelanja di Toko Contoh. Struk terlampir.",
    "Iuran BPJS Kesehatan bulan Mei jatuh tempo pada tanggal 10.",
    "Penawaran kerja terlampir. Mohon tanda tangani dan kirim kembali sebelum 15 Mei.",
    "Penerbangan Anda ditunda menjadi pukul 10.40. Anda dapat mengubah jadwal tanpa biaya.",
    "Barang Anda dibeli oleh maria22. Mohon kirim sebelum hari Selasa.",
    "Gratis biaya perbaikan karena masih dalam masa garansi.",
    "Hasil undian arisan RT: giliran Ibu Sari bulan ini.",
    // German, French, Spanish
    "Ihr Vertrag endet am 3. Mai. Ihr Preis beträgt danach 31 € im Monat. Sie können kündigen oder nichts tun.",
    "Der Rabatt von 10 % wurde von Ihrer Rechnung abgezogen. Gesamtbetrag: 45,00 €",
    "Ihr Angebot vom 3. Mai haben wir erhalten und prüfen es.",
    "Die Wartung findet am Sonntag von 2 bis 4 Uhr statt.",
    "Ihr Gutschein über 20 € wurde eingelöst. Restguthaben: 0 €",
    "Votre commande 1042 a été expédiée. Livraison gratuite : 0,00 €.",
    "Le taux passe de 2,1 % à 2,3 % à partir du 1er avril.",
    "La remise de 10 % a été appliquée à votre facture. Total TTC : 45,00 €",
    "Su pedido 1042 llegará el martes. Envío gratis: 0,00 €. Total: 45,00 €, IVA del 21% incluido.",
    "Hemos devuelto 20 € a su tarjeta porque el artículo está agotado.",
];

const PROMOTIONAL: &[&str] = &[
    "Your card works at 2,000 cafés. Why not use it for your next coffee?",
    "Getting the most out of your membership: five places it pays to show it.",
    "Have you tried our new savings pots yet? Members love them.",
    "Explore the benefits of your card, from lounge access to travel cover.",
    "You could be paying less. See what you could save with our fixed tariff.",
    "Your loyalty deserves something special: choose a gift at your next visit.",
    "Make every trip count. Add lounge access from £18.",
    "Spend your points on something nice today.",
    "Upgrade to Premium and enjoy 50 GB of storage.",
    "Ready for something new? Our autumn collection has landed.",
    "Tell a friend about us and you both get a month free.",
    "Complete your look with a matching scarf.",
    "It's been a while. Come back and see what's new.",
    "Take out travel insurance with us and get 10% off.",
    "Because you bought a kettle: toasters you'll love.",
    "Add breakfast to your booking and save 15%.",
    "With our app you earn more rewards on every order. Download it today.",
    "You have been pre-selected for our platinum card.",
    "Your quote is waiting: buy your policy today and lock in this price.",
    "Treat yourself this weekend.",
    "Our biggest savings of the year start on Friday.",
    "Sign up for our newsletter to hear about new products and offers.",
    "Leave a review and be entered to win a £50 gift card.",
    "Together we can end hunger. Please give what you can today.",
    "Book your place at our open evening and meet the team behind the new range.",
    "Go unlimited for just £5 more a month.",
    "Don't lose your benefits: renew early and get two months free.",
    "Only 3 rooms left at this price.",
    "Two tickets for the price of one, this week only.",
    "Reserve your table for Mother's Day and enjoy a glass of fizz on us.",
    "Nikmati kemudahan belanja tanpa batas dengan kartu kredit kami.",
    "Yuk upgrade ke paket unlimited, cuma Rp99.000 sebulan.",
    "Maksimalkan keuntungan kartu Anda di lebih dari 500 merchant pilihan.",
    "Ada promo spesial buat kamu hari ini!",
    "Sudah coba fitur terbaru kami? Lebih praktis dan lebih hemat.",
    "Ajak temanmu bergabung dan dapatkan poin tambahan.",
    "Jangan sampai ketinggalan, diskon hingga 70% sampai Minggu.",
    "Dapatkan gratis ongkir untuk pembelian berikutnya.",
    "Tukarkan poinmu dengan voucher belanja sekarang.",
    "Koleksi lebaran terbaru sudah hadir di toko kami.",
    "Perpanjang langganan sekarang dan nikmati bonus kuota 10 GB.",
    "Daftar newsletter kami untuk info promo terbaru.",
    "Isi survei singkat ini dan menangkan voucher Rp100.000.",
    "Butuh uang tunai cepat? Ajukan pinjaman sekarang juga.",
    "Sichern Sie sich jetzt 20 % Rabatt auf Ihre nächste Bestellung.",
    "Entdecken Sie die Vorteile Ihrer Karte auf Reisen.",
    "Empfehlen Sie uns weiter und erhalten Sie 25 € Prämie.",
    "Découvrez nos nouveautés et profitez de la livraison offerte.",
    "Parrainez un ami et recevez 20 € chacun.",
    "Descubre las ventajas de tu tarjeta y disfruta de descuentos exclusivos.",
    "Invita a tus amigos y gana 10 € por cada uno.",
];

#[test]
fn neutral_sentences_are_service() {
    let wrong: Vec<_> = NEUTRAL.iter().map(|s| (score(s), s)).filter(|(score, _)| *score >= 0.5).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), NEUTRAL.len());
}

#[test]
fn soft_promotion_is_found() {
    let wrong: Vec<_> = PROMOTIONAL.iter().map(|s| (score(s), s)).filter(|(score, _)| *score < 0.5).collect();
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), PROMOTIONAL.len());
}
