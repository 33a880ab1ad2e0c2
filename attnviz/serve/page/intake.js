// How photos come in: dropped anywhere, pasted, chosen, taken, or one of the samples.

const isPhoto = (item) => item.kind === "file";

function listenForPhotos(open, fail) {
  const drop = el("drop");
  const files = (transfer) => [...(transfer?.files || [])];
  let inside = 0;
  const over = (on) => { inside = Math.max(0, inside + on); drop.classList.toggle("over", inside > 0); };
  document.addEventListener("dragenter", (event) => { event.preventDefault(); over(1); });
  document.addEventListener("dragleave", () => over(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    over(0);
    const [file] = files(event.dataTransfer);
    if (file) open(file); else fail("That was no photo's file. Save the photo first, and drop the file; or copy the photo and paste it here.");
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.items || [])].filter(isPhoto).map((item) => item.getAsFile()).find(Boolean);
    if (file) { event.preventDefault(); open(file); }
    else if (!event.target.matches("input, textarea")) fail("There is no photo to paste. Copy a photo, not its address.");
  });
  for (const id of ["choose", "camera"]) el(id).addEventListener("change", () => {
    const [file] = el(id).files;
    if (file) open(file);
    el(id).value = "";  // the same photo can be chosen again
  });
  el("samples").addEventListener("click", async (event) => {
    const name = event.target.closest("button")?.dataset.sample;
    if (!name) return;
    try {
      const response = await reach(`/samples/${name}`);
      if (!response.ok) throw await refusal(response);
      open(new File([await response.blob()], name, { type: "image/jpeg" }));
    } catch (error) { fail(error.message); }
  });
}
