import FastCGI
import Glibc
public import ShaCache
import System

/// Lets the fetcher of this host fetch ahead, over its socket: what it fetches so is like what clients ask it for.
public struct FetchClient: Sendable {
    private let socket: String

    /// - Parameter socket: its path.
    public init(socket: String) { self.socket = socket }

    /// A large blob may take hours: who is silent so long is asked for something else, which one that is well answers soon.
    private static let pause = Duration.seconds(15)

    /// Waits until that is done, however long it takes.
    ///
    /// - Throws: `FetcherAway` when the fetcher isn't there, ended meanwhile, or hangs.
    public func ask(_ request: AheadRequest) throws(FetcherAway) -> AheadAnswer {
        let output: [UInt8]?
        do throws(SystemError) {
            let path = FetchRoute.ahead(request).path
            output = try FastCGIClient.ask(
                socket, [("FETCH", path), ("REQUEST_METHOD", "GET")], pause: Self.pause
            ) { () throws(SystemError) in try FastCGIClient.probe(socket, within: Self.pause) }
        } catch {
            throw FetcherAway(description: "\(error)")
        }
        guard let output else { throw FetcherAway(description: "\(socket): the fetcher ended meanwhile") }
        let text = String(decoding: output, as: UTF8.self)
        guard let head = text.firstRange(of: "\r\n\r\n"),
            let answer = AheadAnswer(text: String(text[head.upperBound...]))
        else {
            let line = text.prefix { !$0.isNewline }
            throw FetcherAway(description: "\(socket): the fetcher answers \(line.isEmpty ? "nothing" : String(line))")
        }
        return answer
    }

    /// - Throws: `FetcherAway` when the fetcher isn't there, or hangs.
    public func probe() throws(FetcherAway) {
        do throws(SystemError) { try FastCGIClient.probe(socket, within: Self.briefPause) } catch {
            throw FetcherAway(description: "\(error)")
        }
    }

    /// Of whoever doesn't wait.
    private static let briefPause = Duration.seconds(2)
}

/// Why nothing was fetched ahead.
public struct FetcherAway: Error, CustomStringConvertible {
    public let description: String
}
