import CLinux
import Glibc

/// Up to when, and for whom, bytes pass.
extension Engine {
    /// Up to when the bytes of governed streams may pass. It is compared with the clock before every single read and write, so that no
    /// pause of the process gets past it.
    /// - Parameter deadline: on CLOCK_BOOTTIME, in nanoseconds; `Int64.max`: always.
    public func serve(until deadline: Int64) {
        servesUntil = deadline
        guard !parked.isEmpty, isServing else { return }
        let batch = parked
        parked.removeAll()
        for stream in batch where isKnown(stream) && !slots[Int(stream.slot)].isHeld { unpark(stream) }
    }

    var isServing: Bool {
        servesUntil == .max || Clock.boot() < servesUntil
    }

    /// From here on the stream's bytes pass only while the engine serves; what is sent meanwhile waits.
    public func govern(_ stream: StreamID) {
        guard isKnown(stream) else { return }
        slots[Int(stream.slot)].isGoverned = true
    }

    /// Nothing of a governed stream passes until it is resumed, whether the engine serves or not.
    public func hold(_ stream: StreamID) {
        guard isKnown(stream) else { return }
        slots[Int(stream.slot)].isHeld = true
    }

    /// Ends what ``hold(_:)`` began.
    public func resume(_ stream: StreamID) {
        guard isKnown(stream), slots[Int(stream.slot)].isHeld else { return }
        slots[Int(stream.slot)].isHeld = false
        unpark(stream)
    }

    func passes(_ index: Int) -> Bool {
        !slots[index].isGoverned || (!slots[index].isHeld && isServing)
    }

    /// The stream is to be closed: its last bytes pass at any time.
    public func release(_ stream: StreamID) {
        guard isKnown(stream) else { return }
        slots[Int(stream.slot)].isGoverned = false
        unpark(stream)
    }

    /// A stream that is ready but must wait would wake the loop without end. Nothing is paid for this while the engine serves.
    func park(_ stream: StreamID) {
        let index = Int(stream.slot)
        guard !slots[index].isParked else { return }
        slots[index].isParked = true
        parked.append(stream)
        watch(stream)
    }

    func unpark(_ stream: StreamID) {
        let index = Int(stream.slot)
        guard slots[index].isParked else { return }
        slots[index].isParked = false
        readLater(stream)
        watch(stream)
    }
}
