import CLinux
import COpenSSL
import Glibc

/// How OpenSSL reaches a socket: as its own socket BIO does, but it never waits, whatever the descriptor's mode, and a peer that is gone is an
/// error, not a SIGPIPE.
final class TLSSocket {
    private struct State {
        let descriptor: Int32
        var errno: Int32 = 0
    }

    // Owned: made in init, freed in deinit. The BIO points to it; the session lets go of its SSL object, and with it of the BIO, first.
    private let state: UnsafeMutablePointer<State>

    /// nil where memory has run out.
    init?(_ descriptor: Int32) {
        guard Self.method != nil else { return nil }
        state = .allocate(capacity: 1)
        state.initialize(to: State(descriptor: descriptor))
    }

    deinit {
        state.deallocate()
    }

    /// The error number of the last call that failed; 0: none has.
    var errno: Int32 {
        get { state.pointee.errno }
        set { state.pointee.errno = newValue }
    }

    /// Makes the session use the socket; the session owns the BIO from then on.
    func attach(to ssl: OpaquePointer) -> Bool {
        guard let bio = BIO_new(Self.method) else { return false }
        BIO_set_data(bio, state)
        BIO_set_init(bio, 1)
        SSL_set_bio(ssl, bio, bio)
        return true
    }

    // Unsafe: written once, here; OpenSSL only reads it.
    nonisolated(unsafe) private static let method: OpaquePointer? = {
        guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "portcullis socket") else {
            return nil
        }
        BIO_meth_set_read(method) { bio, buffer, count in
            TLSSocket.transfer(bio, BIO_FLAGS_READ) { recv($0, buffer, Int(count), Int32(MSG_DONTWAIT)) }
        }
        BIO_meth_set_write(method) { bio, bytes, count in
            TLSSocket.transfer(bio, BIO_FLAGS_WRITE) {
                send($0, bytes, Int(count), Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
        }
        // Nothing is kept back, so flushing is done; all else is not known.
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return method
    }()

    private static func transfer(_ bio: OpaquePointer?, _ direction: Int32, _ call: (Int32) -> Int) -> Int32 {
        BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY)
        // Set by `attach`, and alive as long as the BIO.
        guard let state = BIO_get_data(bio)?.assumingMemoryBound(to: State.self) else { return -1 }
        let count = call(state.pointee.descriptor)
        guard count < 0 else { return Int32(clamping: count) }
        let number = Glibc.errno
        if number == EAGAIN || number == EINTR {
            BIO_set_flags(bio, direction | BIO_FLAGS_SHOULD_RETRY)
        } else {
            state.pointee.errno = number
        }
        return -1
    }
}
