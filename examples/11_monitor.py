"""A monitor: calibrated on clean text, then watching; a dose is named, and ends the reply."""

import torch

import fulcra

model, behavior = fulcra.load("apothecary-sparse"), fulcra.load_behavior("refusal")
settings = fulcra.CalibrationSettings(windows=24, rate=0.05)  # .01 takes 99 windows
calibration = fulcra.calibrate(model, behavior, settings)
print(calibration)

# replies of this model are short: dosed ones are held to 96 tokens, so that they are seen to end
# early; text beyond a reply's own end is unusual without a dose too
for gain, least in ((0.0, 1), (0.6, 96)):
    dose, lengths = fulcra.add(fulcra.Neuron("L1.N83-"), gain=gain), []
    with (
        fulcra.edit(model, dose, behavior=behavior),
        fulcra.watch(model, calibration) as watch,
    ):
        ends = watch.stop()  # without it a row goes on, and the report says what was seen
        for prompt in behavior.confirmation[:8]:
            ids = torch.tensor([model.prompt_ids(prompt.text)])
            mask = torch.ones_like(ids)
            reply = model.hf.generate(
                ids,
                attention_mask=mask,
                min_new_tokens=least,
                max_new_tokens=96,
                stopping_criteria=[ends],
            )
            lengths.append(reply.shape[1] - ids.shape[1])
    print(f"gain {gain:g}: replies of {lengths} tokens;", watch.report())
