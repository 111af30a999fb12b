//! The messages that are disguised: of our own, in five languages, none near the threshold.

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Service,
    Mixed,
    Marketing,
}

/// A message before it is disguised. Its letters are all in ISO 8859-1.
#[derive(Debug)]
pub struct Base {
    pub name: &'static str,
    pub kind: Kind,
    pub subject: &'static str,
    /// Neutral paragraphs.
    pub service: &'static [&'static str],
    /// Promotional ones; they follow.
    pub promotion: &'static [&'static str],
}

impl Base {
    pub fn paragraphs(&self) -> Vec<String> {
        self.service.iter().chain(self.promotion).map(|&text| text.to_owned()).collect()
    }

    pub fn is_promotional(&self) -> bool {
        self.kind != Kind::Service
    }
}

pub const BASES: &[Base] = &[
    Base {
        name: "en parcel",
        kind: Kind::Service,
        subject: "Your order 20418 has been sent",
        service: &[
            "Dear Ms Okafor,",
            "Your order 20418 left our warehouse this morning. The parcel should be with you on Tuesday between 9:00 and 12:00.",
            "Kettle, 1.7 litres: £24.00\r\nDelivery: £3.50\r\nTotal: £27.50",
            "If the parcel has not come by Thursday, reply to this message and we will look for it.",
        ],
        promotion: &[],
    },
    Base {
        name: "en tariff",
        kind: Kind::Service,
        subject: "The price of your electricity changes on 1 April",
        service: &[
            "Dear Mr Hughes,",
            "From 1 April the price of a unit changes from 24.5p to 25.1p. The standing charge stays at 47p a day.",
            "You do not need to do anything. Your next bill will show both prices.",
        ],
        promotion: &[],
    },
    Base {
        name: "id pesanan",
        kind: Kind::Service,
        subject: "Pesanan 20418 telah dikirim",
        service: &[
            "Halo Ibu Ratna,",
            "Pesanan Anda dengan nomor 20418 telah dikirim pagi ini dan akan tiba pada hari Selasa.",
            "Total pembayaran: Rp240.000",
            "Jika paket belum tiba pada hari Kamis, silakan balas email ini.",
        ],
        promotion: &[],
    },
    Base {
        name: "de Rechnung",
        kind: Kind::Service,
        subject: "Ihre Rechnung 3071",
        service: &[
            "Guten Tag Frau Schröder,",
            "die Rechnung 3071 über 48,20 Euro liegt dieser Nachricht bei. Der Betrag wird am 14. Juni von Ihrem Konto abgebucht.",
            "Bei Fragen zu dieser Rechnung antworten Sie bitte auf diese Nachricht.",
        ],
        promotion: &[],
    },
    Base {
        name: "fr rendez-vous",
        kind: Kind::Service,
        subject: "Votre rendez-vous du 12 mai",
        service: &[
            "Bonjour Madame Lefèvre,",
            "Votre rendez-vous avec le technicien est confirmé pour le mardi 12 mai entre 8 h et 10 h.",
            "Si vous ne pouvez pas être présente, veuillez répondre à ce message.",
        ],
        promotion: &[],
    },
    Base {
        name: "es recibo",
        kind: Kind::Service,
        subject: "Recibo de su pago",
        service: &[
            "Hola, señora Núñez:",
            "Hemos recibido su pago de 48,20 euros por la factura 3071. El pago se verá en su cuenta mañana.",
            "Si no reconoce este pago, responda a este mensaje.",
        ],
        promotion: &[],
    },
    Base {
        name: "en receipt with offer",
        kind: Kind::Mixed,
        subject: "Your receipt 5512",
        service: &[
            "Dear Ms Okafor,",
            "Thank you for your payment of £80.00 for room 12. Your receipt is below.",
            "Room: £80.00\r\nTotal: £80.00",
        ],
        promotion: &[
            "Book again before Sunday and save 20% on your next stay with our special offer.",
            "Refer a friend and get a £10 discount voucher for each of you.",
        ],
    },
    Base {
        name: "id resi dengan promo",
        kind: Kind::Mixed,
        subject: "Pembayaran Anda telah diterima",
        service: &[
            "Halo Ibu Ratna,",
            "Pembayaran Anda sebesar Rp240.000 untuk pesanan 5512 telah kami terima.",
        ],
        promotion: &[
            "Nikmati diskon 20% untuk belanja berikutnya dengan kupon HEMAT20.",
            "Ajak teman Anda belanja dan dapatkan cashback Rp50.000.",
        ],
    },
    Base {
        name: "de Auszug mit Angebot",
        kind: Kind::Mixed,
        subject: "Ihr Kontoauszug für Mai",
        service: &[
            "Guten Tag Frau Schröder,",
            "Ihr Kontoauszug für Mai liegt im Postfach bereit. Der Saldo beträgt 1.204,10 Euro.",
        ],
        promotion: &[
            "Jetzt bis zu 30 % sparen: Sichern Sie sich 20 % Rabatt auf Ihre nächste Bestellung.",
            "Nur für kurze Zeit: Entdecken Sie unsere exklusiven Angebote und erhalten Sie einen Gutschein.",
        ],
    },
    Base {
        name: "fr relevé avec offre",
        kind: Kind::Mixed,
        subject: "Votre relevé de mai",
        service: &[
            "Bonjour Madame Lefèvre,",
            "Votre relevé de mai est disponible dans votre espace client. Le solde est de 1 204,10 euros.",
        ],
        promotion: &[
            "Profitez de nos offres exclusives et économisez 20 % sur votre prochaine commande.",
            "Parrainez un ami et recevez un bon d'achat de 20 euros.",
        ],
    },
    Base {
        name: "es extracto con oferta",
        kind: Kind::Mixed,
        subject: "Su extracto de mayo",
        service: &[
            "Hola, señora Núñez:",
            "Su extracto de mayo ya está en su cuenta. El saldo es de 1.204,10 euros.",
        ],
        promotion: &[
            "Aproveche nuestras ofertas y ahorre un 20% en su próxima compra con este cupón de descuento.",
            "Invite a un amigo y reciba un descuento exclusivo de 10 euros.",
        ],
    },
    Base {
        name: "en sale",
        kind: Kind::Marketing,
        subject: "Up to 50% off: the summer sale starts today",
        service: &[],
        promotion: &[
            "Our biggest sale of the year is here. Save up to 50% on sofas, lamps and rugs.",
            "Use voucher code SUMMER for an extra 10% discount. Only until Sunday!",
            "Shop now",
        ],
    },
    Base {
        name: "id promo",
        kind: Kind::Marketing,
        subject: "Diskon hingga 50% hanya minggu ini",
        service: &[],
        promotion: &[
            "Promo spesial untuk Anda: diskon hingga 50% untuk semua produk.",
            "Gunakan kupon HEMAT dan dapatkan gratis ongkir. Belanja sekarang!",
        ],
    },
    Base {
        name: "de Aktion",
        kind: Kind::Marketing,
        subject: "Nur heute: 30 % Rabatt auf alles",
        service: &[],
        promotion: &[
            "Sichern Sie sich jetzt 30 % Rabatt auf das ganze Sortiment und sparen Sie bei Ihrem nächsten Einkauf.",
            "Gutschein einlösen und gratis Versand erhalten. Jetzt kaufen!",
        ],
    },
    Base {
        name: "fr soldes",
        kind: Kind::Marketing,
        subject: "Soldes : jusqu'à 50 % de réduction",
        service: &[],
        promotion: &[
            "Profitez de jusqu'à 50 % de réduction sur toute la collection, livraison offerte.",
            "Dernière chance : nos offres exclusives se terminent dimanche. Achetez maintenant !",
        ],
    },
    Base {
        name: "es rebajas",
        kind: Kind::Marketing,
        subject: "Rebajas: hasta un 50% de descuento",
        service: &[],
        promotion: &[
            "Aproveche las rebajas y ahorre hasta un 50% en toda la tienda.",
            "Compre ahora y llévese un regalo gratis. ¡Solo hasta el domingo!",
        ],
    },
];
