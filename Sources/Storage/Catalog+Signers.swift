import OpenSSL
import Postgres
public import ShaCache

/// Whose signatures this server knows, and whose no more.
extension Catalog {
    /// - Parameter publicKey: the SubjectPublicKeyInfo in DER.
    /// - Parameter certificate: PEM.
    public func addSigner(_ name: String, publicKey: [UInt8], certificate: String, by actor: String) throws {
        try change(by: actor, "signer add", name) {
            let known = try connection.run("SELECT name FROM shacache.signer WHERE public_key = \(publicKey)").first
            if let known { throw AdministrationError.exists("a signer with this key:", known.text(0)!) }
            try connection.run(
                """
                INSERT INTO shacache.signer (name, public_key, certificate)
                VALUES (\(name), \(publicKey), \(certificate))
                """)
        }
    }

    public func signerTable() throws -> Table {
        Table(
            try connection.run(
                """
                SELECT name, CASE WHEN revoked_at IS NULL THEN 'trusted' ELSE 'revoked' END AS state, revoked_since,
                    encode(sha256(public_key), 'hex') AS key_sha256,
                    (SELECT count(*) FROM shacache.entry WHERE signer_id = signer.id) AS entries,
                    date_trunc('second', created_at) AS created_at
                FROM shacache.signer ORDER BY name
                """))
    }

    /// The registered signers that aren't revoked.
    public func signers() throws -> [Signer] {
        try signers(
            try reading {
                try connection.run("SELECT id, public_key FROM shacache.signer WHERE revoked_at IS NULL ORDER BY id")
            })
    }

    /// Refuses what was signed by one that was revoked since a date, because its key came into other hands. Nodes may
    /// still trust it: their lists are their own.
    ///
    /// - Throws: `Refusal.revokedSigner`.
    public func refuseSignersInOtherHands(of entry: Entry) throws {
        let stolen = try signers(
            try reading {
                try connection.run(
                    "SELECT id, public_key FROM shacache.signer WHERE revoked_since IS NOT NULL ORDER BY id")
            })
        guard try entry.verify(against: stolen) == .unknownSigner else { throw Refusal.revokedSigner }
    }

    private func signers(_ rows: Rows) throws -> [Signer] {
        try rows.map { row in
            let der = row.bytes(1)!
            if let signer = parsedKeys[der] { return signer }
            let signer = Signer(id: row.int(0)!, key: try PublicKey(der: der))
            parsedKeys[der] = signer
            return signer
        }
    }

    /// Whether the signer of an entry is still what he was when the entry was verified. Asked in the transaction that
    /// stores it, behind `awaitRevocation`.
    func checkAgain(_ result: SignatureResult?, of entry: Entry) throws {
        switch result {
        case .verified(let signer):
            let row = try connection.run("SELECT revoked_at IS NULL FROM shacache.signer WHERE id = \(signer)").first
            guard row?.bool(0) == true else { throw SignerWasRevoked() }
        case .unknownSigner: try refuseSignersInOtherHands(of: entry)
        case .unsigned, nil: break
        }
    }
}

/// The signer that verified an entry was revoked before the entry was stored: verify it again.
public struct SignerWasRevoked: Error {}
