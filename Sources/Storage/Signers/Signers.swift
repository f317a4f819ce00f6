import OpenSSL
import Postgres
public import ShaCache

/// Whose signatures this server knows, and whose no more.
public struct Signers {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// - Parameter publicKey: the SubjectPublicKeyInfo in DER.
    /// - Parameter certificate: PEM.
    public func add(_ name: String, publicKey: [UInt8], certificate: String, by actor: String) throws {
        try session.audit.change("signer add", of: name, by: actor) {
            let known = try session.connection.run("SELECT name FROM shacache.signer WHERE public_key = \(publicKey)")
                .first
            if let known { throw AdministrationError.exists("a signer with this key:", known.text(0)!) }
            try session.connection.run(
                """
                INSERT INTO shacache.signer (name, public_key, certificate)
                VALUES (\(name), \(publicKey), \(certificate))
                """)
        }
    }

    public func table() throws -> Table {
        Table(
            try session.connection.run(
                """
                SELECT name, CASE WHEN revoked_at IS NULL THEN 'trusted' ELSE 'revoked' END AS state, revoked_since,
                    encode(sha256(public_key), 'hex') AS key_sha256,
                    (SELECT count(*) FROM shacache.entry WHERE signer_id = signer.id) AS entries,
                    date_trunc('second', created_at) AS created_at
                FROM shacache.signer ORDER BY name
                """))
    }

    /// All that an upload is judged by, of one moment.
    public func known() throws -> KnownSigners {
        let rows = try session.reading {
            try session.connection.run(
                """
                SELECT shacache.signers_version(), id, public_key, revoked_at IS NULL, revoked_since IS NOT NULL
                FROM (VALUES (1)) AS one LEFT JOIN shacache.signer ON revoked_at IS NULL OR revoked_since IS NOT NULL
                ORDER BY id
                """)
        }
        var known = KnownSigners(version: rows.first!.text(0)!)
        for row in rows {
            guard let id = row.int(1) else { continue }
            let signer = Signer(id: id, key: try PublicKey(der: row.bytes(2)!))
            if row.bool(3) { known.trusted.append(signer) }
            if row.bool(4) { known.compromised.append(signer) }
        }
        return known
    }

    /// In the transaction that stores an entry, behind `LockOrder.storingEntries`: whether the signers still are those
    /// by whom it was judged.
    ///
    /// - Throws: `ChangedMeanwhile.signers`.
    func confirmSigners(of upload: UploadRecord) throws {
        guard let version = upload.signersVersion else { return }
        let current = try session.connection.run("SELECT shacache.signers_version()").first?.text(0)
        guard current == version else { throw ChangedMeanwhile.signers }
    }
}

/// What `signers_version` answers in SQL.
public typealias SignersVersion = String

/// The signers at one moment.
public struct KnownSigners {
    public let version: SignersVersion
    /// Registered, and not revoked.
    public fileprivate(set) var trusted: [Signer] = []
    /// Revoked since a date, because the key is compromised. Nodes may still trust them: their lists are their own.
    public fileprivate(set) var compromised: [Signer] = []
}
