//! What reads the bytes of other sides, a file for each protocol. The fuzz targets use the same files.

pub(crate) mod nexo;
pub(crate) mod opi;
pub(crate) mod paytec;
pub(crate) mod zvt;
pub(crate) mod zvt_serial;
